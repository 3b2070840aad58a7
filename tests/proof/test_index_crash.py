"""An index whose writer is killed: what was acknowledged is there and found, and no document is there by half."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("qdrant_edge")

from bge_components.errors import IndexHeldError
from bge_components.retrieval import QueryPlan
from support.index_writer import AT_ONCE, document, opened

TESTS = Path(__file__).parents[1]
WORDS = QueryPlan(channels=("sparse",), late_interaction=0, top_k=20)
"""The fake tokeniser gives some words the same id: more than one document may share a word with the query."""


def writer(folder, first):
    """Start a writer and wait until it holds the index."""
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-m", "support.index_writer", str(folder), str(first)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(TESTS), str(TESTS.parent)])},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "opened\n"
    return process


def killed(process, after_s):
    """Kill a writer after some time; give the numbers of the documents that it had acknowledged."""
    with process:
        time.sleep(after_s)
        process.send_signal(signal.SIGKILL)
        said = process.stdout.read().rpartition("\n")[0]  # the last line may be torn
    return [int(number) for number in said.split()]


def check(index, acknowledged, candidates):
    stored = index.get([document(number).id for number in candidates])
    for number, found in zip(candidates, stored):
        early = found is not None and found.text == "early " * 60
        assert found in (None, document(number)) or early
        assert number not in acknowledged or found == document(number)
    assert index.count() == sum(found is not None for found in stored)
    for number in random.Random(0).sample(acknowledged, min(20, len(acknowledged))):
        for word in (f"begin{number}", f"end{number}"):
            hits = {hit.id: hit for hit in index.search(word, plan=WORDS)}
            hit = hits[document(number).id]
            assert hit.text == document(number).text
            assert word in hit.passage


def test_nothing_acknowledged_is_lost_and_nothing_is_there_by_half(tmp_path):
    kills = int(os.environ.get("BGE_TEST_KILLS", "4"))
    random_s, acknowledged, first = random.Random(kills), [], 0
    for _ in range(kills):
        acknowledged += killed(writer(tmp_path / "index", first), random_s.uniform(0, 0.4))
        first = max(acknowledged, default=-1) + 1
        with opened(tmp_path / "index") as index:
            check(index, acknowledged, range(first + AT_ONCE))
    assert len(acknowledged) >= kills


def test_an_interrupted_ingest_goes_on_where_it_stopped(tmp_path):
    acknowledged = killed(writer(tmp_path / "index", 0), 0.5)
    with opened(tmp_path / "index") as index:
        report = index.upsert([document(number) for number in range(len(acknowledged) + 50)])
        assert report.unchanged >= len(acknowledged)
        assert report.stored + report.unchanged == len(acknowledged) + 50
        check(index, list(range(len(acknowledged) + 50)), range(len(acknowledged) + 50))


def test_a_second_process_is_told_who_holds_the_index(tmp_path):
    process = writer(tmp_path / "index", 0)
    try:
        with pytest.raises(IndexHeldError, match=str(process.pid)):
            opened(tmp_path / "index")
    finally:
        killed(process, 0)
    with opened(tmp_path / "index") as index:
        assert index.count() >= 0
