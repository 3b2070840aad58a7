import json
import os
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

pytest.importorskip("qdrant_edge")

from bge_components.errors import BrokenIndexError, EngineError, IndexClosedError, IndexFullError
from bge_components.retrieval.engines.edge import EdgeEngine, EdgeSettings, optimizing
from bge_components.retrieval.engines.edge.folder import EdgeFolder
from support.engines import CHANNELS, random_points

GRAPHS = EdgeSettings(hnsw_from_points=50)
ONES = np.ones(16, np.float32)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The folder of an index that is optimised in a process of its own, small as it is."""
    monkeypatch.setattr(optimizing, "_QUICK_POINTS", 0)
    return tmp_path / "index"


@pytest.fixture
def engine(folder):
    """An engine with 200 points, of which 20 were deleted."""
    engine = opened(folder)
    points = random_points(engine, 200)
    engine.upsert(points)
    engine.delete([one.id for one in points[:20]])
    yield engine
    engine.close()


@pytest.fixture
def optimization(engine):
    """An optimisation that goes on in another thread."""
    with ThreadPoolExecutor(1) as threads:
        yield threads.submit(engine.optimize)


def opened(folder):
    engine = EdgeEngine(folder, GRAPHS)
    engine.open(CHANNELS)
    return engine


def shards(folder):
    return [path for path in folder.glob("shard*") if path.is_dir()]


def wait_for_copy(folder):
    until = time.monotonic() + 60
    while len(shards(folder)) < 2:
        assert time.monotonic() < until
        time.sleep(0.001)


def test_the_copy_takes_the_place_of_the_shard(engine, folder):
    before = engine.search("dense", ONES, 50, exact=True)
    engine.optimize()
    engine.optimize()
    assert [path.name for path in shards(folder)] != ["shard"]
    assert len(shards(folder)) == 1
    stats = engine.stats()
    assert (stats["points"], stats["indexed"], stats["unindexed_points"]) == (180, True, 0)
    assert stats["recall_at_10"] > 0.9
    assert engine.search("dense", ONES, 50, exact=True).ids == before.ids
    engine.close()
    again = opened(folder)
    assert again.stats()["recall_at_10"] == stats["recall_at_10"]
    assert again.search("dense", ONES, 50, exact=True).ids == before.ids
    again.close()


def test_searches_go_on_meanwhile(engine, optimization):
    searches = 0
    while not optimization.done():
        assert len(engine.search("dense", ONES, 5)) == 5
        assert engine.count() == 180
        searches += 1
    optimization.result()
    assert searches > 5


def test_a_writer_waits_and_what_it_writes_stays(engine, optimization, folder):
    wait_for_copy(folder)
    new = random_points(engine, 220)[200:]
    engine.upsert(new)
    assert optimization.done() or len(shards(folder)) == 1
    engine.delete([new[0].id])
    optimization.result()
    assert engine.count() == 199
    engine.close()
    again = opened(folder)
    assert again.count() == 199
    assert [one is None for one in again.get([one.id for one in new])] == [True] + 19 * [False]
    again.close()


def test_a_scan_goes_on_when_the_shard_has_moved(engine):
    batches = engine.scan(batch=50)
    seen = [point.id for point in next(batches)]
    engine.optimize()
    seen += [point.id for batch in batches for point in batch]
    assert len(seen) == len(set(seen)) == 180


def test_closing_gives_up_the_optimisation(engine, optimization, folder):
    wait_for_copy(folder)
    engine.close()
    with pytest.raises(IndexClosedError, match="nothing is lost"):
        optimization.result(timeout=60)
    assert len(shards(folder)) == 1
    again = opened(folder)
    assert again.count() == 180
    again.close()


def test_searches_of_many_threads_never_meet_a_closed_shard(engine):
    done = threading.Event()

    def search():
        while not done.is_set():
            assert len(engine.search("dense", ONES, 5)) == 5
            assert np.isfinite(engine.score("dense", ONES, engine.search("dense", ONES, 5).ids)).all()

    with ThreadPoolExecutor(2) as threads:
        searching = [threads.submit(search) for _ in range(2)]
        try:
            engine.optimize()
        finally:
            done.set()
        for one in searching:
            one.result(timeout=60)


@pytest.mark.skipif(os.name == "nt", reason="needs a shell")
@pytest.mark.parametrize(
    ("does", "error", "said"),
    [
        ("echo first >&2; echo 'last words' >&2; exit 3", EngineError, "ended with code 3: last words"),
        ("exit 1", EngineError, "it said nothing"),
        ("kill -9 $$", EngineError, "ended by signal 9"),
        ("echo 'OSError: [Errno 28] No space left on device' >&2; exit 1", IndexFullError, "No space left"),
        (None, EngineError, "cannot be run"),
    ],
)
def test_a_process_that_fails_is_told_and_leaves_all_as_it_was(
    engine, folder, tmp_path, monkeypatch, does, error, said
):
    program = tmp_path / "python"
    if does is not None:
        program.write_text(f'#!/bin/sh\nmkdir "$5/$6"\n{does}\n')
        program.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(program))
    with pytest.raises(error, match=f"optimising the index in {folder} failed: .*{said}"):
        engine.optimize()
    assert [path.name for path in shards(folder)] == ["shard"]
    engine.upsert(random_points(engine, 210)[200:])
    assert engine.count() == 190


def test_a_copy_that_cannot_be_put_in_service_is_removed(engine, folder, monkeypatch):
    def full(self, shard):
        raise IndexFullError("no room")

    with monkeypatch.context() as patched:
        patched.setattr(EdgeFolder, "put_in_service", full)
        with pytest.raises(IndexFullError):
            engine.optimize()
    assert [path.name for path in shards(folder)] == ["shard"]
    engine.upsert(random_points(engine, 210)[200:])
    engine.optimize()
    assert engine.count() == 190


def test_what_is_written_down_decides_when_writing_it_was_interrupted(engine, folder, monkeypatch):
    put_in_service = EdgeFolder.put_in_service

    def interrupted(self, shard):
        put_in_service(self, shard)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(EdgeFolder, "put_in_service", interrupted)
        with pytest.raises(KeyboardInterrupt):
            engine.optimize()
    assert "shard" not in [path.name for path in shards(folder)]
    engine.upsert(random_points(engine, 210)[200:])
    engine.close()
    again = opened(folder)
    assert again.count() == 190
    again.close()


def test_leftovers_are_removed_when_the_folder_is_opened(engine, folder):
    engine.optimize()
    engine.close()
    for name in ("shard", "shard.new", "shard-0123456789ab"):
        (folder / name / "segments").mkdir(parents=True)
    opened(folder).close()
    assert len(shards(folder)) == 1
    assert shards(folder)[0].name == json.loads((folder / "shard.json").read_text())["shard"]


@pytest.mark.parametrize("content", [None, b"{", b"[]", b"{}", b'{"shard": 1}', b'{"shard": "shard-0"}'])
def test_a_shard_that_is_there_is_not_removed_because_its_name_is_lost(engine, folder, content):
    engine.optimize()
    engine.close()
    kept = shards(folder)
    named = folder / "shard.json"
    named.unlink() if content is None else named.write_bytes(content)
    with pytest.raises(BrokenIndexError, match=r"shard\.json|has lost its shard"):
        opened(folder)
    assert shards(folder) == kept


def test_a_small_shard_is_optimised_in_its_place(tmp_path):
    engine = opened(tmp_path / "index")
    engine.upsert(random_points(engine, 60))
    engine.optimize()
    assert [path.name for path in shards(tmp_path / "index")] == ["shard"]
    assert engine.stats()["indexed"]
    engine.close()
