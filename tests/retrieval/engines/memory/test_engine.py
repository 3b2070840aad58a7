from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pytest

from bge_components.errors import IndexStoreError, InputError
from bge_components.retrieval.contracts import Channel, ChannelKind, Point
from bge_components.retrieval.engines.memory import MemoryEngine
from bge_components.retrieval.engines.memory import table as table_module
from bge_components.retrieval.filters import And, Equals, IsDocument, Not
from bge_components.retrieval.identity import point_uuid
from support.engines import CHANNELS, point, random_points, random_vectors, sparse_row

ONES = np.ones(16, np.float32)


@pytest.fixture
def memory() -> Iterator[MemoryEngine]:
    engine = MemoryEngine()
    engine.open(CHANNELS)
    yield engine
    engine.close()


def test_a_smaller_copy_to_search_on_is_refused_with_what_there_is() -> None:
    channel = Channel(name="dense", kind=ChannelKind.DENSE, dim=4, quantization="scalar")
    with pytest.raises(
        InputError, match=r"'memory' cannot keep channel 'dense' with quantization='scalar'.*None"
    ):
        MemoryEngine().open([channel])


def test_before_it_knows_its_channels_it_says_what_to_do() -> None:
    with pytest.raises(IndexStoreError, match=r"call open\(channels\) first"):
        MemoryEngine().count()


def test_ids_are_those_that_every_engine_of_our_own_gives(memory: MemoryEngine) -> None:
    assert memory.point_id("a", 2) == point_uuid("a", 2)


def test_equal_scores_come_in_the_order_in_which_they_were_stored(memory: MemoryEngine) -> None:
    memory.upsert(
        [point(memory, f"doc-{n}", {"n": n}, dense=ONES, sparse=sparse_row({1: 1.0})) for n in range(50)]
    )
    every = [memory.point_id(f"doc-{n}") for n in range(50)]
    assert memory.search("dense", ONES, 50).ids == every
    assert memory.search("sparse", sparse_row({1: 1.0}), 99).ids == every
    assert memory.search("dense", ONES, 99, Not(Equals("n", 3))).ids == every[:3] + every[4:]


def test_a_condition_that_few_meet_is_found_far_down_the_ranking(memory: MemoryEngine) -> None:
    memory.upsert([point(memory, f"doc-{n}", {"n": n}, dense=ONES * (500 - n)) for n in range(500)])
    found = memory.search("dense", ONES, 2, Equals("n", 499))
    assert found.ids == [memory.point_id("doc-499")]
    assert found.scores.tolist() == [16.0]


def test_document_frequencies_follow_every_change_at_once(memory: MemoryEngine) -> None:
    memory.upsert([point(memory, f"doc-{n}", bm25=sparse_row({1: 1.0, 10 + n: 1.0})) for n in range(4)])
    memory.upsert([point(memory, "other", dense=ONES)])
    memory.delete([memory.point_id("doc-0")])
    memory.upsert([point(memory, "doc-1", bm25=sparse_row({2: 1.0}))])
    found = memory.search("bm25", sparse_row({1: 2.0}), 5)
    assert found.scores.tolist() == pytest.approx([2 * math.log(1 + (3 - 2 + 0.5) / (2 + 0.5))] * 2)
    assert memory.score("bm25", sparse_row({1: 2.0}), found.ids).tolist() == found.scores.tolist()


def test_dead_rows_are_removed_and_nothing_else_changes(
    memory: MemoryEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table_module.Table.compact, "__defaults__", (8,))
    points = random_points(memory, 120)
    memory.upsert(points)
    kept = points[::4]
    expected = memory.get([p.id for p in kept], [c.name for c in CHANNELS])
    memory.delete([p.id for n, p in enumerate(points) if n % 4])
    table = memory._opened()
    assert len(table.rows().alive) == len(table) == 30
    assert_same(memory.get([p.id for p in kept], [c.name for c in CHANNELS]), expected)
    again = MemoryEngine()
    again.open(CHANNELS)
    again.upsert(kept)
    for channel, vector in random_vectors(np.random.default_rng(5)).items():
        ids = [p.id for p in kept]
        np.testing.assert_array_equal(memory.score(channel, vector, ids), again.score(channel, vector, ids))
        if channel != "multi":
            assert memory.search(channel, vector, 30).ids == again.search(channel, vector, 30).ids


@pytest.mark.parametrize("storage", ["float32", "float16", "int8"])
def test_dead_rows_are_removed_in_every_number_format(storage: str) -> None:
    engine = MemoryEngine()
    engine.open([Channel(name="dense", kind=ChannelKind.DENSE, dim=16, storage=storage)])  # type: ignore[arg-type]
    engine.upsert([point(engine, f"doc-{n}", dense=ONES * (n + 1)) for n in range(6)])
    engine.delete([engine.point_id(f"doc-{n}") for n in range(4)])
    engine.optimize()
    assert engine.search("dense", ONES, 6).scores.tolist() == pytest.approx([96.0, 80.0], rel=1e-2)


def test_a_condition_on_documents_looks_at_no_other(
    memory: MemoryEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory.upsert([point(memory, f"doc-{n}", {"n": n}) for n in range(20)])
    looked: list[str] = []
    monkeypatch.setattr(
        table_module,
        "predicate",
        lambda condition: lambda passage: bool(looked.append(passage.document)) or True,
    )
    assert memory.count(And((Equals("n", 3), IsDocument(("doc-3", "doc-9", "absent"))))) == 2
    assert looked == ["doc-3", "doc-9"]


def test_a_scan_gives_what_was_there_when_it_was_asked_for(memory: MemoryEngine) -> None:
    memory.upsert([point(memory, f"doc-{n}") for n in range(10)])
    scan = memory.scan(batch=4)
    memory.delete_where(Not(IsDocument(())))
    memory.close()
    assert [found.passage.document for batch in scan for found in batch] == [f"doc-{n}" for n in range(10)]


def assert_same(found: list[Point | None], expected: list[Point | None]) -> None:
    for one, other in zip(found, expected, strict=True):
        assert one is not None
        assert other is not None
        assert one.passage == other.passage
        assert one.vectors.keys() == other.vectors.keys()
        for name, vector in one.vectors.items():
            np.testing.assert_array_equal(
                np.concatenate(vector, axis=None), np.concatenate(other.vectors[name], axis=None)
            )
