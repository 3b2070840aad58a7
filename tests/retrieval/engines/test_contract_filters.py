"""One meaning of filters on every engine."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from bge_components.retrieval.contracts import Engine, Passage, Point, Window
from bge_components.retrieval.filters import And, Equals, Filter, IsDocument, IsHead, Not
from support.engines import DENSE, ENGINES, SPARSE, EnginePlace, point, sparse_row
from support.filter_cases import CASES, METADATA, NAMES

ONES = np.ones(16, np.float32)


@pytest.fixture(scope="module", params=ENGINES)
def filled(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """An engine that holds the documents of the table of cases; nobody changes it."""
    place = EnginePlace(request.param, tmp_path_factory.mktemp("filters") / "engine")
    engine = place.opened([DENSE, SPARSE])
    engine.upsert(
        [
            point(engine, name, metadata, dense=ONES, sparse=sparse_row({1: 1.0}))
            for name, metadata in METADATA.items()
        ]
    )
    yield engine
    place.close()


@pytest.mark.parametrize(("condition", "met"), CASES, ids=NAMES)
def test_a_condition_finds_these_documents_and_no_others(
    filled: Engine, condition: Filter, met: set[str]
) -> None:
    ids = {filled.point_id(name) for name in met}
    assert {found.passage.document for batch in filled.scan(condition) for found in batch} == met
    assert filled.count(condition) == len(met)
    assert set(filled.search("dense", ONES, len(METADATA), condition).ids) == ids
    assert set(filled.search("sparse", sparse_row({1: 1.0}), len(METADATA), condition).ids) == ids


@pytest.mark.parametrize("condition", [case for case, _ in CASES[::6]], ids=lambda value: repr(value)[:60])
def test_what_meets_a_condition_can_be_deleted(engine: Engine, condition: Filter) -> None:
    engine.upsert([point(engine, name, metadata) for name, metadata in METADATA.items()])
    met = dict((repr(case), names) for case, names in CASES)[repr(condition)]
    engine.delete_where(condition)
    assert {found.passage.document for batch in engine.scan() for found in batch} == set(METADATA) - met
    assert engine.count(condition) == 0


def test_many_documents_can_be_named(engine: Engine) -> None:
    engine.upsert([point(engine, f"doc-{n}", {"n": n}) for n in range(40)])
    named = IsDocument(tuple(f"doc-{n}" for n in range(0, 2000, 2)))
    assert engine.count(named) == 20
    assert engine.count(Equals("n", 3)) == 1


def test_a_head_is_a_whole_document_or_the_first_window_of_one(engine: Engine) -> None:
    engine.upsert([_window(engine, "long", number) for number in (2, 1, 0)])
    engine.upsert([_window(engine, "unfinished", 1), point(engine, "short", {"n": 0})])
    assert _found(engine, IsHead()) == {("long", 0), ("short", None)}
    assert _found(engine, Not(IsHead())) == {("long", 1), ("long", 2), ("unfinished", 1)}
    assert _found(engine, And((Equals("n", 1), IsHead()))) == {("long", 0)}
    assert engine.count(IsHead()) == 2
    assert engine.count(And((IsDocument(("long",)), IsHead()))) == 1


def _window(engine: Engine, document: str, number: int) -> Point:
    window = Window(number=number, count=3, start=number, stop=number + 1)
    passage = Passage(document=document, text="x", metadata={"n": 1}, digest="d", window=window)
    return Point(id=engine.point_id(document, number), passage=passage)


def _found(engine: Engine, condition: Filter) -> set[tuple[str, int | None]]:
    passages = [found.passage for batch in engine.scan(condition) for found in batch]
    return {(one.document, one.window and one.window.number) for one in passages}
