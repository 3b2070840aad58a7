from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bge_components.bench.contest import Contest
from bge_components.bench.records import Machine
from bge_components.bench.shapes import SHAPES
from bge_components.bench.workloads import bulk, rerank
from support.bench import FP32, TINY, FakeWorker, a_bench

RANKER = replace(TINY, name="ranker", task="rerank")


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Keeps the checkpoints, and with them the texts that were read."""
    return tmp_path_factory.mktemp("work")


def test_bulk_has_three_sets_and_as_much_text_as_the_budget_allows(work: Path) -> None:
    bench = a_bench(work, seconds=0.6)

    queries, passages, documents = bulk.works(bench, TINY)

    assert [one.name for one in (queries, passages, documents)] == [
        "bulk short queries",
        "bulk passages",
        "bulk long documents",
    ]
    for one in (queries, passages):
        assert TINY.flops(one.lengths[:-1]) < bench.affordable_flops(TINY) <= TINY.flops(one.lengths)
    assert max(documents.lengths) >= 505
    assert queries.tokens / len(queries.texts) < 15


def test_small_budgets_still_fill_a_batch(work: Path) -> None:
    few = bulk.works(a_bench(work, seconds=1e-6), TINY)
    quick = bulk.works(a_bench(work, seconds=1e-6, quick=True), TINY)
    assert [len(one.texts) for one in few] == [256, 128, 1]
    assert [one.fewest for one in few[:2]] == [256, 128]
    assert [len(one.texts) for one in quick] == [8, 8, 1]


def test_long_documents_get_longer_with_the_budget_and_the_shape() -> None:
    m3, bert = SHAPES["bge-m3"], SHAPES["bge-base"]
    assert set(bulk.long_lengths(bert, 3 * bert.flops([512]))) == {512}
    assert bulk.long_lengths(m3, 2.1 * m3.flops([8192]))[:3] == [8192, 4096, 2048]
    assert max(bulk.long_lengths(m3, 2.1 * m3.flops([1024]))) <= 1024


def test_one_document_has_the_full_length_whatever_the_budget_unless_the_machine_is_too_slow(
    work: Path,
) -> None:
    m3 = SHAPES["bge-m3"]
    assert bulk.long_lengths(m3, 1.0, m3.flops([8192])) == [8192]
    assert bulk.long_lengths(m3, 1.0, 0.9 * m3.flops([8192])) == [4096]
    assert bulk.long_lengths(m3, 1.0, 1.0) == [512]

    shape = replace(TINY, name="long", max_tokens=1024)
    peak = shape.flops([1024]) / 100e9  # such a text takes 100 s

    def longest(peak: float, *, quick: bool = False) -> list[int]:
        machine = Machine(facts={}, peaks={"long float32": peak})
        *_, documents = bulk.works(a_bench(work, machine=machine, seconds=1e-3, quick=quick), shape)
        return [round(length, -2) for length in documents.lengths]

    assert longest(peak) == [1000]
    assert longest(peak / 2) == longest(peak, quick=True) == [500]


def test_bulk_leaves_rerankers_out_and_rerank_embedders(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[str] = []

    class Seen(Contest):
        def run(self):
            started.append(self._shape.name)
            return iter(())

    bench = a_bench(work, FP32, shapes=(TINY, RANKER), seconds=1e-6)
    monkeypatch.setattr(bulk, "Contest", Seen)
    monkeypatch.setattr(rerank, "Contest", Seen)

    assert list(bulk.measure(bench)) == []
    assert started == ["tiny"]
    assert list(rerank.measure(bench)) == []
    assert started == ["tiny", "ranker"]


def test_reranking_counts_the_query_in_every_pair(work: Path) -> None:
    bench = a_bench(work, shapes=(RANKER,))
    found = rerank.work(bench, RANKER)
    texts = bench.texts(RANKER)
    alone = texts.lengths(found.texts)
    assert found.query is not None
    assert found.name == "rerank 1 x 100"
    (query,) = texts.lengths([found.query])
    assert found.lengths[0] == alone[0] + query - 1
    assert len(rerank.work(a_bench(work, quick=True), RANKER).texts) == 10


def test_bulk_through_a_worker_gives_a_measurement_per_set(work: Path) -> None:
    bench = a_bench(work, FP32, seconds=1e-6)
    works = bulk.works(bench, TINY)
    found = list(Contest(bench, TINY, works, start=lambda *_: FakeWorker()).run())
    assert [one.workload for one in found] == [one.name for one in works]
