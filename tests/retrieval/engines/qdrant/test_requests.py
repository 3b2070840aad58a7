import numpy as np
import pytest

from bge_components.errors import InputError
from bge_components.retrieval.contracts import Channel, ChannelKind, Passage, Point, Window
from bge_components.retrieval.engines.qdrant import QdrantEngine
from bge_components.retrieval.engines.qdrant.requests import RequestCutter
from bge_components.retrieval.engines.qdrant.settings import QdrantSettings
from bge_components.retrieval.engines.qdrant_terms.layouts import LAYOUTS, OwnLayout
from support.qdrant_http import qdrant_over_http

DIM = 128
LAYOUT = OwnLayout()


def cutter(layout=LAYOUT, grpc=False, bounded=True, **settings):
    return RequestCutter(layout=layout, settings=QdrantSettings(**settings), grpc=grpc, bounded=bounded)


def unit_rows(count):
    rows = np.random.default_rng(7).standard_normal((count, DIM)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def point(document, text="text", window=None, layout=LAYOUT, **vectors):
    passage = Passage(document=document, text=text, metadata={"title": text}, window=window)
    return Point(id=layout.point_id(document), passage=passage, vectors=vectors)


def names(requests):
    return [[one.passage.document for one in request] for request in requests]


def test_requests_keep_the_order_and_hold_no_more_points_than_allowed():
    points = [point(name) for name in "abcab"]
    assert names(cutter(upsert_batch=2).requests(points)) == [["a", "b"], ["c", "a"], ["b"]]
    assert cutter().requests([]) == []


def test_a_request_is_full_when_the_next_point_does_not_fit():
    points = [point(name, multi=unit_rows(1)) for name in "abc"]
    assert names(cutter(request_bytes=7500).requests(points)) == [["a", "b"], ["c"]]


@pytest.mark.parametrize("way", [{"grpc": True, "bounded": False}, {"bounded": False}], ids=["grpc", "local"])
def test_where_nobody_refuses_it_a_large_point_is_a_request_of_its_own(way):
    points = [point("a"), point("large", multi=unit_rows(8)), point("b")]
    assert names(cutter(request_bytes=2000, **way).requests(points)) == [["a"], ["large"], ["b"]]


def test_by_grpc_numbers_take_less():
    points = [point(name, multi=unit_rows(1)) for name in "abc"]
    assert names(cutter(request_bytes=7500, grpc=True).requests(points)) == [["a", "b", "c"]]


def test_a_point_beyond_the_limit_is_told_with_its_window_and_sizes():
    window = Window(number=3, count=5, start=0, stop=4)
    large = point("long", window=window, multi=np.ones((8192, 1024), np.float32))
    with pytest.raises(InputError) as told:
        cutter().requests([point("a"), large])
    assert "'long' (window 3 of 5) takes 176.0 MiB in one request, 176.0 MiB of them vectors" in str(
        told.value
    )
    assert "request_bytes allows 30.0 MiB" in str(told.value)


def test_a_long_text_counts_too():
    with pytest.raises(InputError, match=r"takes 5\.7 MiB in one request, 0\.0 MiB of them vectors"):
        cutter(request_bytes=2**20).requests([point("a", text="日" * 1_000_000)])


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.name)
@pytest.mark.parametrize(
    "text", ["plain " * 500, "日本" * 500, '"\n\x01' * 500], ids=["plain", "wide", "escaped"]
)
def test_what_is_sent_is_no_larger_than_estimated_and_not_much_smaller(layout, text):
    kept = [
        Channel(name="multi", kind=ChannelKind.MULTI, dim=DIM),
        Channel(name="sparse", kind=ChannelKind.SPARSE),
    ]
    row = np.arange(200_000, 200_300, dtype=np.int32), unit_rows(3).ravel()[:300]
    one = point("a", text=text, layout=layout, multi=unit_rows(50), sparse=row)
    with qdrant_over_http() as http:
        engine = QdrantEngine("sizes", url=http.url, layout=layout)
        engine.open(kept)
        engine.upsert([one])
        engine.close()
    sent = int(http.headers[-1]["content-length"])
    estimated = cutter(layout).bytes_of(one)
    assert 0.9 * estimated < sent <= estimated
