"""One ranking on every engine: searches and scores, held against the plain formulas."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from bge_components.retrieval.contracts import Engine, Found, Point, PointId
from bge_components.retrieval.filters import And, Equals, Range
from support.engines import (
    BM25,
    DENSE,
    ENGINES,
    MULTI,
    SPARSE,
    EnginePlace,
    point,
    random_points,
    random_vectors,
    sparse_row,
)

COUNT = 200
QUERIES = [random_vectors(np.random.default_rng(seed)) for seed in range(100, 104)]


@pytest.fixture(scope="module", params=ENGINES)
def filled(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """An engine that holds the random points; nobody changes it."""
    place = EnginePlace(request.param, tmp_path_factory.mktemp("search") / "engine")
    engine = place.opened()
    points = random_points(engine, COUNT)
    for start in range(0, COUNT, 64):
        engine.upsert(points[start : start + 64])
    yield engine
    place.close()


@pytest.fixture
def points(filled: Engine) -> list[Point]:
    return random_points(filled, COUNT)


def dense_formula(points: list[Point], query: Any) -> dict[PointId, float]:
    return {p.id: float(np.dot(p.vectors["dense"], query)) for p in points if "dense" in p.vectors}


def weights_of(vector: Any) -> dict[int, float]:
    ids, weights = vector
    return dict(zip(ids.tolist(), weights.tolist()))


def sparse_formula(points: list[Point], channel: str, query: dict[int, float]) -> dict[PointId, float]:
    rows = {p.id: weights_of(p.vectors[channel]) for p in points if channel in p.vectors}
    return {
        id: sum(weight * query[key] for key, weight in row.items() if key in query)
        for id, row in rows.items()
        if row.keys() & query.keys()
    }


def idf_weights(points: list[Point], query: dict[int, float]) -> dict[int, float]:
    rows = [weights_of(p.vectors["bm25"]) for p in points if "bm25" in p.vectors]
    df = {key: sum(key in row for row in rows) for key in query}
    return {key: w * math.log(1 + (len(rows) - df[key] + 0.5) / (df[key] + 0.5)) for key, w in query.items()}


def multi_formula(points: list[Point], query: Any) -> dict[PointId, float]:
    tokens = {p.id: p.vectors["multi"] for p in points if "multi" in p.vectors}
    return {
        id: float(np.mean([max(np.dot(q, t) for t in rows) for q in query])) for id, rows in tokens.items()
    }


def assert_ranking(found: Found, expected: dict[PointId, float], k: int) -> None:
    assert found.scores.dtype == np.float32
    assert len(set(found.ids)) == len(found.ids) == min(k, len(expected))
    best = sorted(expected.values(), reverse=True)[:k]
    np.testing.assert_allclose(found.scores, best, atol=1e-4)
    np.testing.assert_allclose(found.scores, [expected[id] for id in found.ids], atol=1e-4)
    assert np.all(np.diff(found.scores) <= 0)


def assert_scores(
    scores: Any, ids: list[PointId], expected: dict[PointId, float], tolerance: float = 1e-4
) -> None:
    assert scores.dtype == np.float32
    assert scores.shape == (len(ids),)
    np.testing.assert_allclose(scores, [expected.get(id, math.nan) for id in ids], atol=tolerance)


@pytest.mark.parametrize("k", [1, 10, 10 * COUNT])
def test_a_dense_search_ranks_by_dot_product(filled: Engine, points: list[Point], k: int) -> None:
    for query in QUERIES:
        found = filled.search("dense", query["dense"], k, exact=True)
        assert_ranking(found, dense_formula(points, query["dense"]), k)


@pytest.mark.parametrize("k", [1, 10, 10 * COUNT])
def test_a_sparse_search_ranks_by_the_products_of_shared_ids(
    filled: Engine, points: list[Point], k: int
) -> None:
    for query in QUERIES:
        expected = sparse_formula(points, "sparse", weights_of(query["sparse"]))
        assert_ranking(filled.search("sparse", query["sparse"], k), expected, k)


@pytest.mark.parametrize("k", [1, 10, 10 * COUNT])
def test_rare_ids_weigh_more_where_the_channel_asks_for_it(
    filled: Engine, points: list[Point], k: int
) -> None:
    for query in QUERIES:
        weighted = idf_weights(points, weights_of(query["bm25"]))
        assert_ranking(filled.search("bm25", query["bm25"], k), sparse_formula(points, "bm25", weighted), k)


def test_a_search_finds_the_best_among_those_that_meet_a_condition(
    filled: Engine, points: list[Point]
) -> None:
    condition = And((Equals("even", True), Range("number", gte=20, lt=60)))
    among = [p for p in points if p.passage.metadata["number"] in range(20, 60, 2)]
    for query in QUERIES:
        expected = dense_formula(among, query["dense"])
        assert_ranking(filled.search("dense", query["dense"], 5, condition, exact=True), expected, 5)
        expected = sparse_formula(among, "sparse", weights_of(query["sparse"]))
        assert_ranking(filled.search("sparse", query["sparse"], 5, condition), expected, 5)
        weighted = idf_weights(points, weights_of(query["bm25"]))
        expected = sparse_formula(among, "bm25", weighted)
        assert_ranking(filled.search("bm25", query["bm25"], 5, condition), expected, 5)


def test_a_sparse_search_for_what_nobody_holds_finds_nothing(filled: Engine) -> None:
    assert len(filled.search("sparse", sparse_row({10**6: 1.0}), 5)) == 0
    assert len(filled.search("sparse", sparse_row({}), 5)) == 0
    assert len(filled.search("bm25", sparse_row({}), 5)) == 0


def test_given_points_are_scored_by_the_formulas(filled: Engine, points: list[Point]) -> None:
    ids = [p.id for p in points[::-3]]
    for query in QUERIES:
        assert_scores(filled.score("dense", query["dense"], ids), ids, dense_formula(points, query["dense"]))
        assert_scores(filled.score("multi", query["multi"], ids), ids, multi_formula(points, query["multi"]))


@pytest.mark.parametrize("channel", ["sparse", "bm25"])
def test_given_points_that_share_no_id_are_scored_zero(
    filled: Engine, points: list[Point], channel: str
) -> None:
    ids = [p.id for p in points]
    for query in QUERIES:
        weights = weights_of(query[channel])
        weighted = idf_weights(points, weights) if channel == "bm25" else weights
        zeros: dict[PointId, float] = dict.fromkeys(ids, 0.0)
        expected = zeros | sparse_formula(points, channel, weighted)
        assert_scores(filled.score(channel, query[channel], ids), ids, expected)


def test_points_that_are_not_there_are_scored_nan_but_share_no_word(
    filled: Engine, points: list[Point]
) -> None:
    ids = [points[1].id, filled.point_id("absent"), points[1].id]
    for channel, vector in QUERIES[0].items():
        scores = filled.score(channel, vector, ids)
        assert scores[0] == scores[2]
        if channel in ("dense", "multi"):
            assert np.isnan(scores).tolist() == [False, True, False]
        else:
            assert scores[1] == 0


def test_nothing_changes_when_the_engine_is_made_faster(engine: Engine) -> None:
    points = random_points(engine, 60)
    engine.upsert(points)
    engine.flush()
    engine.optimize()
    query = QUERIES[0]
    assert_ranking(
        engine.search("dense", query["dense"], 10, exact=True), dense_formula(points, query["dense"]), 10
    )
    weighted = idf_weights(points, weights_of(query["bm25"]))
    assert_ranking(engine.search("bm25", query["bm25"], 10), sparse_formula(points, "bm25", weighted), 10)
    assert engine.count() == engine.stats()["points"] == 60


@pytest.mark.parametrize(("storage", "tolerance"), [("float16", 2e-3), ("int8", 3e-2)])
def test_smaller_number_formats_score_nearly_the_same(
    place: EnginePlace, storage: Any, tolerance: float
) -> None:
    engine = place.engine()
    if storage not in engine.capabilities.storage:
        pytest.skip(f"keeps no {storage}")
    engine.open([replace(DENSE, storage=storage), replace(MULTI, storage=storage)])
    rng = np.random.default_rng(3)
    points = [point(engine, f"doc-{n}", **unit_vectors(rng)) for n in range(30)]
    engine.upsert(points)
    ids = [p.id for p in points]
    query = unit_vectors(rng)
    expected = dense_formula(points, query["dense"])
    assert_scores(engine.score("dense", query["dense"], ids), ids, expected, tolerance)
    found = engine.search("dense", query["dense"], 30, exact=True)
    assert_scores(found.scores, list(found.ids), expected, tolerance)
    assert_scores(
        engine.score("multi", query["multi"], ids), ids, multi_formula(points, query["multi"]), tolerance
    )
    back = engine.get(ids[:1], ["dense", "multi"])[0]
    assert back is not None
    np.testing.assert_allclose(back.vectors["dense"], points[0].vectors["dense"], atol=tolerance)
    np.testing.assert_allclose(back.vectors["multi"], points[0].vectors["multi"], atol=tolerance)


def test_sparse_weights_may_be_kept_as_float16(place: EnginePlace) -> None:
    engine = place.engine()
    if "float16" not in engine.capabilities.storage:
        pytest.skip("keeps no float16")
    engine.open([replace(SPARSE, storage="float16"), BM25])
    engine.upsert([point(engine, "a", sparse=sparse_row({3: 0.1, 9: 2.0}))])
    found = engine.search("sparse", sparse_row({3: 1.0}), 1)
    assert found.scores.tolist() == pytest.approx([0.1], abs=1e-4)


def unit_vectors(rng: np.random.Generator) -> dict[str, Any]:
    vectors: dict[str, Any] = random_vectors(rng)
    return {
        name: vectors[name] / np.linalg.norm(vectors[name], axis=-1, keepdims=True)
        for name in ("dense", "multi")
    }
