import threading
import time
from pathlib import Path

import pytest

from bge_components.bench.workloads import mixed, mixing, ours
from bge_components.bench.workloads.mixed import ALONE, BULK, QUERIES, TOGETHER
from bge_components.bench.workloads.mixing import Mixing, StalledError
from bge_components.bench.workloads.ours import our_pool, plain_encoder
from support.tiny_bench import FORMS, tiny_bench


def test_queries_and_documents_are_measured_alone_and_at_once(tiny_bert: Path, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(ours, "_FORMS", FORMS)
    found = {
        (one.workload, one.system.removeprefix("bge_components fp32 ")): one
        for one in mixed.measure(tiny_bench(tmp_path, tiny_bert))
    }

    assert set(found) == {(kind, system) for kind in (QUERIES, BULK) for system in (ALONE, TOGETHER)}
    numbers = found[QUERIES, TOGETHER].numbers
    alone = found[QUERIES, ALONE].numbers
    assert numbers["allowed_p99_ms"] == 3 * alone["p99_ms"] + numbers["batch_ms"]
    assert numbers["p99_ms"] >= numbers["p50_ms"] > 0
    assert found[BULK, ALONE].tokens > 0
    assert set(found[BULK, ALONE].numbers) == {"batch_ms"}
    assert set(found[BULK, TOGETHER].numbers) == {"lost_percent"}


def test_queries_are_not_counted_as_documents(tiny_bert: Path) -> None:
    with our_pool(threads=1) as pool:
        encoder = plain_encoder(tiny_bert, pool)
        work = Mixing(
            encoder, encoder.encode, ["the pool"], [int(encoder.encode(["the pool"]).tokens[0])], ["a text"]
        )
        work.every_s = 0.02
        window = work.window(0.1, asked=True, bulk=False)

    assert len(window.latencies_s) >= 2
    assert window.bulk_tokens == 0
    assert window.batch_s > 0


def test_a_window_lasts_until_documents_were_computed(tiny_bert: Path) -> None:
    with our_pool(threads=1) as pool:
        encoder = plain_encoder(tiny_bert, pool)

        def slowly(documents: list[str]) -> None:
            time.sleep(0.1)
            encoder.encode(documents)

        work = Mixing(encoder, slowly, ["the pool"], [5], ["a text"])
        alone = work.window(0.001, asked=False, bulk=True)
        work.every_s = 0.001
        together = work.window(0.001, asked=True, bulk=True)

    assert alone.bulk_tokens > 0
    assert together.bulk_tokens > 0
    assert together.latencies_s


def test_documents_that_fail_or_hang_end_the_wait_for_their_first_batches(
    tiny_bert: Path, monkeypatch
) -> None:
    hung = threading.Event()

    def fails(documents: list[str]) -> None:
        raise MemoryError("no room")

    monkeypatch.setattr(mixing, "_PATIENCE_S", 0.05)
    with our_pool(threads=1) as pool:
        encoder = plain_encoder(tiny_bert, pool)
        work = Mixing(encoder, encoder.encode, ["the pool"], [5], ["a text"])

        work._take_in = fails
        with pytest.raises(MemoryError, match="no room"):
            work.window(0.01, asked=False, bulk=True)

        work._take_in = lambda documents: hung.wait(20)
        with pytest.raises(StalledError, match=r"2 batches of documents .* within 0\.05 s"):
            work.window(0.01, asked=False, bulk=True)
        hung.set()
