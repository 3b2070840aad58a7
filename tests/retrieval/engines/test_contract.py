"""What every engine keeps: points, their passages and vectors, a manifest; and what it refuses."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from bge_components.errors import IndexClosedError, IndexMismatchError, InputError, MissingChannelError
from bge_components.retrieval.contracts import ChannelKind, Engine, Passage, Point, Window
from bge_components.retrieval.filters import Equals, IsDocument
from support.engines import (
    BM25,
    CHANNELS,
    DENSE,
    MULTI,
    SPARSE,
    EnginePlace,
    point,
    random_points,
    random_vectors,
    sparse_row,
)

ONES = np.ones(16, np.float32)
ODD_IDS = [
    "",
    " ",
    "a",
    "A",
    "a#1",
    "a/b\\c",
    "0:a",
    "x\x00y",
    "\n",
    "日本\U0001f600",
    "e\u0301",
    "é",
    "\ud800",
]
ODD_IDS += ['"quoted"', "'; DROP TABLE points; --", "%s {0}", "x" * 5000]


def got(engine: Engine, document: str, *channels: str) -> Point:
    found = engine.get([engine.point_id(document)], channels)[0]
    assert found is not None
    return found


def documents_of(engine: Engine) -> set[str]:
    return {found.passage.document for batch in engine.scan() for found in batch}


def test_it_is_an_engine_and_says_what_it_can_do(engine: Engine) -> None:
    assert isinstance(engine, Engine)
    assert engine.capabilities.name
    assert engine.capabilities.kinds == set(ChannelKind)
    assert "float32" in engine.capabilities.storage


def test_an_empty_engine_answers_everything_with_nothing(engine: Engine) -> None:
    assert engine.count() == 0
    assert list(engine.scan()) == []
    assert len(engine.search("dense", ONES, 5)) == 0
    assert len(engine.search("sparse", sparse_row({1: 1.0}), 5)) == 0
    assert len(engine.search("bm25", sparse_row({1: 1.0}), 5)) == 0
    assert engine.get([engine.point_id("absent")]) == [None]
    assert engine.stats()["points"] == 0
    engine.delete([engine.point_id("absent")])
    engine.delete_where(Equals("x", 1))


def test_nothing_asked_is_nothing_done(engine: Engine) -> None:
    engine.upsert([])
    engine.delete([])
    assert engine.get([]) == []
    assert engine.score("dense", ONES, []).shape == (0,)


def test_what_was_stored_comes_back_in_the_order_asked(engine: Engine) -> None:
    points = random_points(engine, 20)
    engine.upsert(points)
    asked = [points[7].id, engine.point_id("absent"), points[3].id, points[7].id]
    found = engine.get(asked, [channel.name for channel in CHANNELS])
    assert found[1] is None
    for place, number in ((0, 7), (2, 3), (3, 7)):
        stored, back = points[number], found[place]
        assert back is not None
        assert back.id == stored.id
        assert back.passage == stored.passage
        assert set(back.vectors) == set(stored.vectors)
        for name, vector in stored.vectors.items():
            np.testing.assert_allclose(
                np.concatenate(back.vectors[name], axis=None), np.concatenate(vector, axis=None)
            )


def test_vectors_come_back_as_float32_and_only_of_the_channels_asked(engine: Engine) -> None:
    engine.upsert([point(engine, "a", **random_vectors(np.random.default_rng(0)))])
    assert got(engine, "a").vectors == {}
    vectors = got(engine, "a", "sparse", "multi").vectors
    assert set(vectors) == {"sparse", "multi"}
    assert [part.dtype for part in vectors["sparse"]] == [np.int32, np.float32]
    multi = vectors["multi"]
    assert isinstance(multi, np.ndarray)
    assert multi.dtype == np.float32
    assert multi.shape[1] == 8


def test_every_part_of_a_passage_is_kept(engine: Engine) -> None:
    window = Window(number=0, count=2, start=0, stop=4)
    passage = Passage(document="a", text="", digest="abc", window=window, whole="text and more\x00")
    engine.upsert([Point(id=engine.point_id("a"), passage=passage)])
    assert got(engine, "a").passage == passage


def test_metadata_come_back_as_the_same_json(engine: Engine) -> None:
    metadata: dict[str, Any] = {
        **{
            "document": "not the id",
            "text": 1,
            "metadata": {"metadata": []},
            "window": None,
            "id": "x",
            "vector": 0,
        },
        **{"int": 1, "float": 1.0, "true": True, "big": 2**53 + 1, "small": 1e-300, "neg": -0.5},
        **{"nested": {"a": [{"b": [[], {}, None]}]}, "dotted.key": 1, "日本": "東京", "": "", "a[]": '"'},
    }
    engine.upsert([point(engine, "a", metadata)])
    kept = got(engine, "a").passage.metadata
    assert json.dumps(kept, sort_keys=True) == json.dumps(metadata, sort_keys=True)


def test_what_the_caller_does_with_his_objects_later_changes_nothing(engine: Engine) -> None:
    metadata, dense = {"tags": ["x"]}, ONES.copy()
    engine.upsert([point(engine, "a", metadata, dense=dense)])
    metadata["tags"].append("y")
    dense[:] = 0
    found = got(engine, "a", "dense")
    found.passage.metadata["tags"].append("z")
    found.vectors["dense"][:] = 0  # type: ignore[index]
    assert got(engine, "a").passage.metadata == {"tags": ["x"]}
    np.testing.assert_array_equal(got(engine, "a", "dense").vectors["dense"], ONES)


@pytest.mark.parametrize("document", ODD_IDS, ids=lambda document: ascii(document)[:20])
def test_any_string_is_the_id_of_a_document(engine: Engine, document: str) -> None:
    engine.upsert([point(engine, document, dense=ONES), point(engine, "other", dense=-ONES)])
    assert got(engine, document).passage.document == document
    assert engine.search("dense", ONES, 1).ids == [engine.point_id(document)]
    assert engine.count(IsDocument((document,))) == 1
    engine.delete_where(IsDocument((document,)))
    assert documents_of(engine) == {"other"}


def test_no_two_documents_or_windows_share_a_point(engine: Engine) -> None:
    assert engine.point_id("a") == engine.point_id("a", 0) == engine.point_id("a")
    assert len({engine.point_id(name, window) for name in ODD_IDS for window in range(3)}) == 3 * len(ODD_IDS)


def test_the_windows_of_a_document_are_points_of_their_own(engine: Engine) -> None:
    windows = [
        Point(
            id=engine.point_id("a", n),
            passage=Passage(document="a", text=str(n)),
            vectors={"dense": ONES * n},
        )
        for n in range(3)
    ]
    engine.upsert([*windows, point(engine, "b", dense=ONES)])
    assert engine.count(IsDocument(("a",))) == 3
    engine.delete([engine.point_id("a", 1)])
    assert engine.count() == 3
    engine.delete_where(IsDocument(("a",)))
    assert documents_of(engine) == {"b"}


def test_a_point_of_the_same_id_is_replaced_whole(engine: Engine) -> None:
    engine.upsert(
        [point(engine, "a", {"old": 1}, dense=ONES, sparse=sparse_row({1: 1.0}), bm25=sparse_row({1: 1.0}))]
    )
    engine.upsert([point(engine, "a", {"new": 1}, text="new", dense=-ONES)])
    assert engine.count() == 1
    found = got(engine, "a", "dense", "sparse")
    assert found.passage.metadata == {"new": 1}
    assert found.passage.text == "new"
    assert set(found.vectors) == {"dense"}
    assert engine.search("dense", ONES, 5).scores.tolist() == pytest.approx([-16.0])
    assert len(engine.search("sparse", sparse_row({1: 1.0}), 5)) == 0


def test_of_points_with_one_id_in_a_call_the_last_is_kept(engine: Engine) -> None:
    engine.upsert([point(engine, "a", text="first", dense=ONES), point(engine, "a", text="last")])
    assert engine.count() == 1
    found = got(engine, "a", "dense")
    assert found.passage.text == "last"
    assert found.vectors == {}


def test_deleted_points_are_gone_from_every_answer(engine: Engine) -> None:
    points = random_points(engine, 30)
    engine.upsert(points)
    gone = [found.id for found in points[::3]]
    engine.delete([*gone, engine.point_id("absent")])
    assert engine.count() == 20
    assert engine.get(gone) == [None] * 10
    assert np.isnan(engine.score("dense", ONES, gone)).all()
    assert not set(engine.search("dense", ONES, 30).ids) & set(gone)
    engine.delete_where(Equals("even", True))
    assert documents_of(engine) == {f"doc-{n}" for n in range(30) if n % 3 and n % 2}


def test_a_scan_gives_every_point_once_without_vectors(engine: Engine) -> None:
    points = random_points(engine, 50)
    engine.upsert(points)
    batches = list(engine.scan(batch=8))
    assert all(1 <= len(batch) <= 8 for batch in batches)
    found = {scanned.id: scanned for batch in batches for scanned in batch}
    assert sum(map(len, batches)) == len(found) == 50
    assert all(found[stored.id].passage == stored.passage for stored in points)
    assert all(scanned.vectors == {} for scanned in found.values())
    even = [scanned for batch in engine.scan(Equals("even", True), batch=7) for scanned in batch]
    assert len(even) == 25


def test_a_vector_without_content_counts_as_missing(engine: Engine) -> None:
    empty = {"sparse": sparse_row({}), "bm25": sparse_row({}), "multi": np.zeros((0, 8), np.float32)}
    engine.upsert([point(engine, "a", **empty), point(engine, "b")])
    names = ["dense", *empty]
    for document in ("a", "b"):
        assert got(engine, document, *names).vectors == {}
    ids = [engine.point_id("a"), engine.point_id("b")]
    assert np.isnan(engine.score("dense", ONES, ids)).all()
    assert engine.score("sparse", sparse_row({1: 1.0}), ids).tolist() == [0, 0]
    assert np.isnan(engine.score("multi", np.ones((2, 8), np.float32), ids)).all()
    assert len(engine.search("dense", ONES, 5)) == 0


def test_a_manifest_is_kept_beside_the_points(place: EnginePlace) -> None:
    engine = place.engine()
    assert engine.manifest() is None
    engine.open(CHANNELS)
    engine.keep_manifest({"made by": "é", "n": [1, None]})
    engine.keep_manifest({"made by": "日本", "n": [2.5, None]})
    assert engine.manifest() == {"made by": "日本", "n": [2.5, None]}
    assert engine.count() == 0
    assert list(engine.scan()) == []
    engine.upsert([point(engine, "a", dense=ONES)])
    engine.delete_where(IsDocument(("a",)))
    assert engine.manifest() == {"made by": "日本", "n": [2.5, None]}


def test_what_was_acknowledged_outlives_the_engine(place: EnginePlace) -> None:
    engine = place.opened()
    if not engine.capabilities.persistent:
        pytest.skip("keeps nothing")
    points = random_points(engine, 30)
    engine.upsert(points)
    engine.delete([points[0].id])
    engine.keep_manifest({"n": 1})
    expected = engine.search("dense", ONES, 10)
    engine.close()
    again = place.engine()
    assert again.manifest() == {"n": 1}
    again.open(list(reversed(CHANNELS)))
    assert again.count() == 29
    assert again.get([points[0].id]) == [None]
    assert got(again, "doc-7").passage == points[7].passage
    np.testing.assert_array_equal(again.search("dense", ONES, 10).scores, expected.scores)


@pytest.mark.parametrize(
    "channels",
    [
        [replace(DENSE, dim=8), SPARSE, BM25, MULTI],
        [DENSE, SPARSE, MULTI],
        [DENSE, replace(SPARSE, idf=True), BM25, MULTI],
        [*CHANNELS, replace(DENSE, name="second")],
    ],
    ids=["dimensions", "one-less", "idf", "one-more"],
)
def test_opening_with_other_channels_is_refused(place: EnginePlace, channels: list[Any]) -> None:
    engine = place.opened()
    engine.open(CHANNELS)
    with pytest.raises(IndexMismatchError):
        engine.open(channels)
    if engine.capabilities.persistent:
        engine.close()
        with pytest.raises(IndexMismatchError):
            place.engine().open(channels)


@pytest.mark.parametrize(
    "channels",
    [
        [DENSE, DENSE],
        [replace(DENSE, dim=None)],
        [replace(DENSE, dim=0)],
        [replace(SPARSE, dim=4)],
        [replace(DENSE, idf=True)],
        [replace(DENSE, storage="float8")],
        [replace(DENSE, quantization="ternary")],
        [replace(MULTI, quantization="binary")],
    ],
    ids=[
        "twice",
        "no-dim",
        "zero-dim",
        "sparse-dim",
        "dense-idf",
        "storage",
        "quantization",
        "multi-quantization",
    ],
)
def test_channels_that_cannot_be_kept_are_refused(place: EnginePlace, channels: list[Any]) -> None:
    with pytest.raises(InputError, match=f"'{channels[0].name}'"):
        place.engine().open(channels)


@pytest.mark.parametrize(
    ("vectors", "said"),
    [
        ({"dense": np.ones(15, np.float32)}, r"'dense'.*16.*\(15,\)"),
        ({"dense": np.ones((1, 16), np.float32)}, r"'dense'.*16.*\(1, 16\)"),
        ({"dense": np.full(16, np.nan, np.float32)}, "'dense'.*finite"),
        ({"dense": ["a"] * 16}, "'dense'.*numbers"),
        ({"multi": np.ones((2, 7), np.float32)}, r"'multi'.*8.*\(2, 7\)"),
        ({"multi": np.full((1, 8), np.inf, np.float32)}, "'multi'.*finite"),
        ({"sparse": ONES}, "'sparse'.*ids and weights"),
        ({"sparse": (np.array([1, 1]), np.ones(2))}, "'sparse'.*distinct"),
        ({"sparse": (np.array([2, 1]), np.ones(2))}, "'sparse'.*ascending"),
        ({"sparse": (np.array([-1, 1]), np.ones(2))}, "'sparse'.*from 0"),
        ({"sparse": (np.array([1, 2]), np.ones(3))}, "'sparse'.*as many weights as ids"),
        ({"sparse": (np.array([1]), np.array([np.nan]))}, "'sparse'.*finite"),
    ],
)
def test_a_bad_vector_stops_the_whole_call_before_anything_changes(
    engine: Engine, vectors: dict[str, Any], said: str
) -> None:
    engine.upsert([point(engine, "a", {"old": 1}, dense=ONES)])
    with pytest.raises(InputError, match=said):
        engine.upsert([point(engine, "a", {"new": 1}), point(engine, "b"), point(engine, "c", **vectors)])
    assert documents_of(engine) == {"a"}
    assert got(engine, "a").passage.metadata == {"old": 1}


def test_a_channel_that_is_not_there_is_named_with_those_that_are(engine: Engine) -> None:
    calls: list[Callable[[], Any]] = [
        lambda: engine.search("colour", ONES, 1),
        lambda: engine.score("colour", ONES, [engine.point_id("a")]),
        lambda: engine.get([engine.point_id("a")], ["colour"]),
        lambda: engine.upsert([point(engine, "a", colour=ONES)]),
    ]
    for call in calls:
        with pytest.raises(MissingChannelError, match=r"'colour'.*bm25.*dense"):
            call()


def test_a_search_that_cannot_be_answered_is_refused(engine: Engine) -> None:
    for k in (0, -1, True, 1.5):
        with pytest.raises(InputError, match="k must be"):
            engine.search("dense", ONES, k)  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"16.*\(3,\)"):
        engine.search("dense", np.ones(3, np.float32), 1)
    with pytest.raises(InputError, match=r"8.*\(2, 3\)"):
        engine.score("multi", np.ones((2, 3), np.float32), [engine.point_id("a")])
    with pytest.raises(InputError, match="never searched"):
        engine.search("multi", np.ones((2, 8), np.float32), 1)


def test_after_closing_every_call_says_so(engine: Engine) -> None:
    engine.close()
    engine.close()
    one = point(engine, "a", dense=ONES)
    calls: list[Callable[[], Any]] = [
        lambda: engine.open(CHANNELS),
        lambda: engine.manifest(),
        lambda: engine.keep_manifest({}),
        lambda: engine.upsert([one]),
        lambda: engine.delete([one.id]),
        lambda: engine.delete_where(Equals("x", 1)),
        lambda: engine.get([one.id]),
        lambda: engine.search("dense", ONES, 1),
        lambda: engine.score("dense", ONES, [one.id]),
        lambda: engine.count(),
        lambda: list(engine.scan()),
        lambda: engine.flush(),
        lambda: engine.optimize(),
        lambda: engine.stats(),
    ]
    for call in calls:
        with pytest.raises(IndexClosedError):
            call()
