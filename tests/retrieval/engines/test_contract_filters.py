"""One meaning of filters on every engine."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from bge_components.retrieval.contracts import Engine
from bge_components.retrieval.filters import Equals, Filter, IsDocument
from support.engines import DENSE, ENGINES, SPARSE, EnginePlace, point, sparse_row
from support.filter_cases import CASES, METADATA

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


@pytest.mark.parametrize(("condition", "met"), CASES, ids=lambda value: repr(value)[:60])
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
