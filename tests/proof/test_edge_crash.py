"""Nothing is lost from an embedded index whose writer is killed, or whose disk becomes full."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("qdrant_edge")

from bge_components.errors import IndexFullError
from bge_components.retrieval.engines.edge import EdgeEngine
from bge_components.retrieval.filters import IsDocument
from support.edge_writer import CHANNELS, SETTINGS, dense, point

TESTS = Path(__file__).parents[1]


class Expected:
    """Which versions of each document may be there, None for absence; likewise manifests."""

    def __init__(self):
        self.versions = {}
        self.manifests = {None}
        self.pending = []

    def follow(self, lines):
        """Read what a writer said: what it was about to do may have happened; what it had done has."""
        self.pending = []
        for when, what, *given in lines:
            numbers = list(map(int, given))
            self.pending = numbers if when == "about" and what == "0" else []
            if what == "manifest":
                self.manifests = {*(self.manifests if when == "about" else ()), numbers[0]}
                continue
            version = None if what == "deleted" else int(what)
            for number in numbers:
                before = self.versions.get(number, {None}) if when == "about" else set()
                self.versions[number] = before | {version}

    @property
    def next_document(self):
        return max(self.versions, default=-1) + 1


def killed_writer(folder, first, after_s, *options):
    """Let a writer write, kill it after some time, and give what it had said."""
    with program("edge_writer", folder, first, *options) as process:
        assert process.stdout.readline() == "opened\n"
        time.sleep(after_s)
        process.send_signal(signal.SIGKILL)
        return [line.split() for line in process.stdout if line.endswith("\n")]


def program(name, *arguments):
    """Run a program of `support`, in a process that may die."""
    command = [sys.executable, "-W", "ignore", "-m", f"support.{name}", *map(str, arguments)]
    path = os.pathsep.join([str(TESTS), str(TESTS.parent)])
    return subprocess.Popen(
        command, env={**os.environ, "PYTHONPATH": path}, stdout=subprocess.PIPE, text=True
    )


def check(engine, expected):
    """See that every document is there in a version that it may have, whole, and that nothing else is."""
    numbers = list(expected.versions)
    ids = [engine.point_id(f"doc-{number}") for number in numbers]
    found = dict(zip(numbers, engine.get(ids, ["dense", "sparse", "multi"])))
    for number, stored in found.items():
        version = None if stored is None else stored.passage.metadata["version"]
        assert version in expected.versions[number], f"document {number} has version {version}"
        if stored is not None:
            assert_whole(stored, point(engine, number, version))
    assert engine.count() == sum(stored is not None for stored in found.values())
    assert len({found[number] is None for number in expected.pending}) < 2, "a write was applied in part"
    assert (engine.manifest() or {}).get("start") in expected.manifests
    return [number for number, stored in found.items() if stored is not None]


def assert_whole(stored, whole):
    assert stored.passage == whole.passage
    np.testing.assert_allclose(stored.vectors["dense"], whole.vectors["dense"], atol=1e-6)
    np.testing.assert_array_equal(stored.vectors["sparse"], whole.vectors["sparse"])
    np.testing.assert_array_equal(stored.vectors["multi"], whole.vectors["multi"])


def check_searches(engine, numbers):
    """See that documents are found by their own vectors and ids."""
    for number in random.Random(0).sample(numbers, min(30, len(numbers))):
        identity = engine.point_id(f"doc-{number}")
        row = (np.array([number + 1], np.int32), np.ones(1, np.float32))
        assert engine.search("dense", dense(number), 1, exact=True).ids == [identity]
        assert engine.search("sparse", row, 5).ids == [identity]
        assert engine.score("dense", dense(number), [identity])[0] == pytest.approx(1, abs=1e-5)
        assert engine.count(IsDocument((f"doc-{number}",))) == 1


def test_nothing_acknowledged_is_lost_when_the_writer_is_killed_at_any_moment(tmp_path):
    kills = int(os.environ.get("BGE_TEST_KILLS", "6"))
    rng, expected = random.Random(kills), Expected()
    for _ in range(kills):
        said = killed_writer(tmp_path / "index", expected.next_document, rng.uniform(0, 0.5))
        expected.follow(said)
        engine = EdgeEngine(tmp_path / "index", SETTINGS)
        engine.open(CHANNELS)
        check_searches(engine, check(engine, expected))
        engine.close()
    assert len(expected.versions) > 10 * kills


def test_an_optimisation_that_is_killed_at_any_moment_leaves_one_whole_shard(tmp_path):
    kills = int(os.environ.get("BGE_TEST_KILLS", "6"))
    rng, expected, folder = random.Random(kills), Expected(), tmp_path / "index"
    for _ in range(kills):
        expected.follow(killed_writer(folder, expected.next_document, rng.uniform(0, 1.2), 0.5))
        engine = EdgeEngine(folder, SETTINGS)
        engine.open(CHANNELS)
        check_searches(engine, check(engine, expected))
        assert len([path for path in folder.glob("shard*") if path.is_dir()]) == 1
        engine.close()
    assert len(expected.versions) > 2 * kills


@pytest.fixture
def small_disk(tmp_path):
    """A disk of its own; it has holes filled when they are only read, which makes it the harder one."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounting = ["mount", "-t", "tmpfs", "-o", "size=224m", "tmpfs", str(disk)]
    if shutil.which("mount") is None or subprocess.run(mounting, capture_output=True).returncode:
        pytest.skip("mounting a small disk is not allowed here")
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


def test_a_full_disk_is_told_and_leaves_everything_acknowledged_readable(small_disk):
    folder = small_disk / "index"
    with program("edge_filler", folder, 100_000) as process:
        said = process.stdout.read()
    assert process.returncode == 0, f"the process ended with {process.returncode} after {said!r}"
    refused, stored = said.splitlines()
    assert refused.startswith("refused: no room for 20 points")
    assert "free" in refused
    engine = EdgeEngine(folder)
    engine.open(CHANNELS)
    assert int(stored) > 20
    assert engine.count() == int(stored) - 1
    check_searches(engine, list(range(1, int(stored))))
    assert engine.manifest() == {"start": int(stored)}
    with pytest.raises(IndexFullError):
        engine.upsert([point(engine, number, 0) for number in range(10**6, 10**6 + 20_000)])
    engine.close()
