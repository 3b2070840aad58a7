import math
import os
import random
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import grpc
import httpx
import numpy as np
import pytest
from qdrant_client import QdrantClient, models
from qdrant_client.common.client_exceptions import ResourceExhaustedResponse
from qdrant_client.http.exceptions import ResponseHandlingException

from bge_components.errors import (
    BrokenIndexError,
    EngineError,
    IndexClosedError,
    IndexFullError,
    IndexMismatchError,
    IndexStoreError,
    InputError,
)
from bge_components.retrieval.contracts import Channel, ChannelKind, Engine, Passage, Point
from bge_components.retrieval.engines.qdrant import QdrantEngine
from bge_components.retrieval.engines.qdrant.calls import QdrantCalls
from bge_components.retrieval.engines.qdrant.connection import Connection
from bge_components.retrieval.engines.qdrant.faults import fault_of
from bge_components.retrieval.engines.qdrant.settings import QdrantSettings
from bge_components.retrieval.engines.qdrant.turns import Turns
from bge_components.retrieval.filters import Equals, Exists, In, IsDocument, Not, Range
from support.qdrant_http import Fault, qdrant_over_http

CHANNELS = [
    Channel(name="dense", kind=ChannelKind.DENSE, dim=4),
    Channel(name="sparse", kind=ChannelKind.SPARSE, storage="float16"),
    Channel(name="bm25", kind=ChannelKind.SPARSE, idf=True),
    Channel(name="multi", kind=ChannelKind.MULTI, dim=2, storage="float16"),
]
AT_ONCE = QdrantSettings(backoff_s=0.0, retries=3, upsert_batch=2)
LOCAL, HTTP, SERVER = "local mode", "http", "server"


def unit(*values):
    vector = np.array(values, np.float32)
    return vector / np.linalg.norm(vector)


def row(*ids):
    return np.array(ids, np.int32), np.arange(1, len(ids) + 1, dtype=np.float32)


def point(engine, number, **metadata):
    document = f"document {number}"
    return Point(
        id=engine.point_id(document),
        passage=Passage(
            document=document, text=f"text {number}", metadata={"n": number, **metadata}, digest="d"
        ),
        vectors={
            "dense": unit(1.0, number, 0.5, 0.0),
            "sparse": row(number, number + 1),
            "bm25": row(number),
            "multi": np.array([unit(1.0, number), unit(number, 1.0)]),
        },
    )


@pytest.fixture(scope="module")
def http():
    with qdrant_over_http() as server:
        yield server


@pytest.fixture(
    params=[
        LOCAL,
        HTTP,
        pytest.param(
            SERVER, marks=pytest.mark.skipif("QDRANT_URL" not in os.environ, reason="QDRANT_URL is not set")
        ),
    ]
)
def engine(request):
    """An empty engine: in the client's local mode, speaking HTTP, and at a real server where there is one."""
    name = f"bge-{uuid4().hex}"
    settings = QdrantSettings(upsert_batch=2, consistency="majority", ordering="strong", search_ef=64)
    if request.param == LOCAL:
        client = QdrantClient(":memory:")
    elif request.param == HTTP:
        client = QdrantClient(url=request.getfixturevalue("http").url, check_compatibility=False)
    else:
        client = QdrantClient(url=os.environ["QDRANT_URL"], api_key=os.environ.get("QDRANT_API_KEY"))
    engine = QdrantEngine(name, client=client, settings=settings)
    engine.open(CHANNELS)
    yield engine
    client.delete_collection(name)
    client.close()


def test_it_keeps_the_interface_of_an_engine(engine):
    assert isinstance(engine, Engine)


def test_what_is_stored_comes_back_with_its_vectors(engine):
    points = [point(engine, number) for number in range(5)]
    engine.upsert(points)

    names = [channel.name for channel in CHANNELS]
    found = engine.get([points[3].id, engine.point_id("nobody"), points[1].id], names)
    assert [one and one.passage for one in found] == [points[3].passage, None, points[1].passage]
    for name in ("dense", "multi"):
        np.testing.assert_allclose(found[0].vectors[name], points[3].vectors[name], atol=1e-3)
    for given, read in zip(points[3].vectors["sparse"], found[0].vectors["sparse"]):
        np.testing.assert_allclose(read, given, atol=1e-3)


def test_a_search_ranks_by_dot_product_and_by_shared_ids(engine):
    points = [point(engine, number) for number in range(5)]
    engine.upsert(points)

    query = unit(1.0, 2.0, 0.0, 0.0)
    found = engine.search("dense", query, 10)
    products = {one.id: float(query @ one.vectors["dense"]) for one in points}
    np.testing.assert_allclose(found.scores, [products[identity] for identity in found.ids], atol=1e-5)
    assert list(found.ids) == sorted(products, key=products.__getitem__, reverse=True)
    assert engine.search("dense", query, 2, exact=True).ids == found.ids[:2]

    shared = engine.search("sparse", row(2, 77), 10)
    assert dict(zip(shared.ids, shared.scores.tolist())) == {points[1].id: 2.0, points[2].id: 1.0}


def test_a_query_is_weighted_by_how_rare_its_ids_are(engine):
    engine.upsert([point(engine, number) for number in range(5)])
    found = engine.search("bm25", row(3), 10)
    np.testing.assert_allclose(found.scores, [math.log(1 + (5 - 1 + 0.5) / (1 + 0.5))], rtol=1e-5)


def test_late_interaction_is_the_mean_over_the_query_s_tokens(engine):
    points = [point(engine, number) for number in range(4)]
    engine.upsert(points)
    query = np.array([unit(1.0, 0.3), unit(0.2, 1.0), unit(1.0, -1.0)])

    ids = [points[2].id, engine.point_id("nobody"), points[0].id, points[2].id]
    scores = engine.score("multi", query, ids)
    best = [float((query @ points[number].vectors["multi"].T).max(axis=1).mean()) for number in (2, 0)]
    np.testing.assert_allclose(scores, [best[0], np.nan, best[1], best[0]], atol=2e-3)


def test_a_score_tells_nothing_shared_from_nothing_there(engine):
    bare = point(engine, 9)
    bare = Point(id=bare.id, passage=bare.passage, vectors={"dense": unit(1, 0, 0, 0)})
    points = [point(engine, 1), point(engine, 5), bare]
    engine.upsert(points)
    ids = [one.id for one in points]

    np.testing.assert_array_equal(engine.score("sparse", row(1, 6), ids), [1.0, 4.0, 0.0])
    np.testing.assert_array_equal(engine.score("sparse", row(77), ids), [0.0, 0.0, 0.0])
    np.testing.assert_array_equal(engine.score("sparse", row(), ids), [0.0, 0.0, 0.0])
    np.testing.assert_array_equal(np.isnan(engine.score("multi", np.array([unit(1, 1)]), ids)), [0, 0, 1])
    assert len(engine.score("dense", unit(1, 0, 0, 0), [])) == 0
    assert len(engine.search("sparse", row(), 3)) == 0


@pytest.mark.parametrize(
    ("condition", "numbers"),
    [
        (Equals("n", 2), {2}),
        (In("n", (1, 3, 9)), {1, 3}),
        (Range("n", gt=1), {2, 3}),
        (Exists("odd"), {1, 3}),
        (Not(Exists("odd")), {0, 2}),
        (IsDocument(("document 0", "document 3", "nobody")), {0, 3}),
    ],
)
def test_conditions_are_pushed_down(engine, condition, numbers):
    points = [point(engine, number, **({"odd": True} if number % 2 else {})) for number in range(4)]
    engine.upsert(points)

    wanted = {points[number].id for number in numbers}
    assert engine.count(condition) == len(numbers)
    assert set(engine.search("dense", unit(1, 0, 0, 0), 10, condition).ids) == wanted
    assert {one.id for batch in engine.scan(condition, batch=1) for one in batch} == wanted
    engine.delete_where(condition)
    assert {one.id for batch in engine.scan() for one in batch} == {one.id for one in points} - wanted


def test_a_scan_gives_every_point_once_in_batches(engine):
    points = [point(engine, number) for number in range(5)]
    engine.upsert(points)
    batches = list(engine.scan(batch=2))
    assert [len(batch) for batch in batches] == [2, 2, 1]
    assert {one.id for batch in batches for one in batch} == {one.id for one in points}


def test_deleted_points_are_gone_and_others_are_not(engine):
    points = [point(engine, number) for number in range(3)]
    engine.upsert(points)
    engine.delete([points[0].id, engine.point_id("nobody")])
    engine.delete([])
    assert engine.count() == 2
    assert points[0].id not in engine.search("dense", unit(1, 0, 0, 0), 10).ids


def test_a_second_engine_on_the_collection_sees_manifest_channels_and_points(engine):
    assert engine.manifest() is None
    engine.keep_manifest({"format": 1, "gone": None, "nested": {"a": [1.5, None]}})
    engine.keep_manifest({"format": 2, "nested": {"b": "ü"}})
    engine.upsert([point(engine, 1)])

    other = QdrantEngine(engine._name, client=engine._connection.client)
    assert other.manifest() == {"format": 2, "nested": {"b": "ü"}}
    assert sorted(other.channels(), key=str) == sorted(CHANNELS, key=str)
    other.open(CHANNELS)
    assert other.count() == 1
    assert other.stats()["points"] == 1


def test_optimising_ends_and_flushing_does_nothing(engine):
    engine.upsert([point(engine, 1)])
    engine.optimize()
    engine.flush()
    assert engine.stats()["status"] == "green"


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ([CHANNELS[0]], "it also keeps 'bm25', 'multi', 'sparse'"),
        ([*CHANNELS, Channel(name="more", kind=ChannelKind.SPARSE)], "it has no 'more'"),
        ([Channel(name="dense", kind=ChannelKind.DENSE, dim=5), *CHANNELS[1:]], "has dim 4, asked for 5"),
        ([*CHANNELS[:2], Channel(name="bm25", kind=ChannelKind.SPARSE), CHANNELS[3]], "has idf True"),
        (
            [*CHANNELS[:3], Channel(name="multi", kind=ChannelKind.DENSE, dim=2, storage="float16")],
            "has kind multi, asked for dense",
        ),
        (
            [Channel(name="dense", kind=ChannelKind.DENSE, dim=4, quantization="scalar"), *CHANNELS[1:]],
            "scalar",
        ),
    ],
)
def test_other_channels_than_those_kept_are_refused_with_the_differences(engine, changed, told):
    with pytest.raises(IndexMismatchError, match=told):
        QdrantEngine(engine._name, client=engine._connection.client).open(changed)


def test_every_setting_of_a_collection_is_handed_through(http):
    quantized = Channel(name="dense", kind=ChannelKind.DENSE, dim=4, storage="int8", quantization="binary")
    settings = QdrantSettings(
        shard_number=6,
        replication_factor=2,
        write_consistency_factor=2,
        on_disk=True,
        on_disk_payload=False,
        hnsw_m=32,
        hnsw_ef_construct=200,
        search_ef=99,
        oversampling=3.0,
        consistency=2,
        ordering="medium",
    )
    engine = QdrantEngine("set", url=http.url, settings=settings)
    engine.open([quantized, *CHANNELS[1:]])
    made = models.CreateCollection.model_validate(http.bodies["PUT "])
    assert (made.shard_number, made.replication_factor, made.write_consistency_factor) == (6, 2, 2)
    assert made.on_disk_payload is False
    dense, multi = made.vectors["dense"], made.vectors["multi"]
    assert (dense.hnsw_config.m, dense.hnsw_config.ef_construct, dense.on_disk) == (32, 200, True)
    assert dense.distance == multi.distance == models.Distance.DOT
    assert dense.datatype == models.Datatype.TURBO8
    assert dense.quantization_config.binary
    assert multi.hnsw_config.m == 0
    assert made.sparse_vectors["sparse"].index.on_disk
    assert http.indexes[-2:] == [
        {"field_name": "document", "field_schema": "keyword"},
        {"field_name": "window.number", "field_schema": "integer"},
    ]

    engine.upsert([point(engine, 1)])
    engine.search("dense", unit(1, 0, 0, 0), 3, exact=True)
    assert http.queries["PUT /points"] == {"wait": ["true"], "ordering": ["medium"]}
    assert http.queries["POST /points/query"]["consistency"] == ["2"]
    smaller = {"ignore": True, "rescore": True, "oversampling": 3.0}
    params = {key: value for key, value in http.bodies["POST /points/query"]["params"].items() if value}
    assert params == {"hnsw_ef": 99, "exact": True, "quantization": smaller}
    engine.close()
    http.local.delete_collection("set")


@pytest.fixture
def remote(http):
    """An engine that retries at once, at a server that does as `http.faults` says."""
    engine = QdrantEngine("retried", url=http.url, settings=AT_ONCE, timeout_s=1)
    engine.open(CHANNELS)
    http.writes.clear()
    yield engine
    http.faults.clear()
    engine.close()
    http.local.delete_collection("retried")


@pytest.mark.parametrize(
    "fault",
    [Fault(503), Fault(500), Fault(502), Fault(429), Fault(0), Fault(0, stores=True)],
    ids=["503", "500", "502", "429", "broken off", "answer lost"],
)
def test_a_request_that_fails_for_now_is_sent_again_and_stored_once(remote, http, fault):
    points = [point(remote, number) for number in range(5)]
    http.faults.extend([fault, fault])
    remote.upsert(points)

    ids = [str(one.id) for one in points]
    assert http.writes == [ids[:2], ids[:2], ids[:2], ids[2:4], ids[4:]]
    assert remote.count() == 5


def test_a_request_that_got_no_answer_in_time_is_sent_again_and_stored_once(remote, http):
    http.faults.append(Fault(0, stores=True, waits=True))
    remote.upsert([point(remote, 1)])
    assert len(http.writes) == 2
    assert remote.count() == 1


def test_after_the_last_retry_the_error_says_how_often_and_what(remote, http):
    http.faults.extend([Fault(503)] * 10)
    with pytest.raises(EngineError, match=r"upsert .* failed 4 times with status 503: scripted 503"):
        remote.upsert([point(remote, 1)])
    assert len(http.writes) == 1 + AT_ONCE.retries


@pytest.mark.parametrize(
    ("status", "advice"), [(400, ""), (401, "api_key"), (403, "api_key"), (413, "upsert_batch")]
)
def test_a_request_that_is_wrong_fails_at_once(remote, http, status, advice):
    http.faults.append(Fault(status))
    with pytest.raises(EngineError, match=f"failed with status {status}: scripted {status}.*{advice}"):
        remote.upsert([point(remote, number) for number in range(5)])
    assert len(http.writes) == 1


def test_a_call_that_fails_midway_leaves_whole_requests_and_may_be_repeated(remote, http):
    points = [point(remote, number) for number in range(5)]
    http.faults.extend([Fault(503), Fault(0, stores=True), Fault(0, stores=True), Fault(400)])
    with pytest.raises(EngineError, match="status 400"):
        remote.upsert(points)
    assert [one is not None for one in remote.get([one.id for one in points])] == [
        True,
        True,
        False,
        False,
        False,
    ]
    remote.upsert(points)
    assert remote.count() == 5


def test_a_vector_that_does_not_fit_keeps_the_whole_call_from_being_sent(remote, http):
    good, bad = point(remote, 1), point(remote, 2)
    bad.vectors["dense"] = unit(1.0, 2.0)
    with pytest.raises(InputError, match="dense"):
        remote.upsert([good, bad])
    assert http.writes == []


def test_a_server_without_room_is_not_asked_again(remote, http):
    http.faults.append(Fault(507))
    with pytest.raises(IndexFullError):
        remote.upsert([point(remote, 1)])
    assert len(http.writes) == 1


def test_a_collection_that_is_gone_is_told(remote, http):
    http.local.delete_collection("retried")
    with pytest.raises(EngineError, match=r"'retried'.* 404"):
        remote.count()
    http.local.create_collection("retried", vectors_config={})


def test_points_are_written_in_the_order_in_which_they_are_given(remote, http):
    parts = [
        Point(id=remote.point_id(name, window), passage=Passage(document=name, text="x"))
        for window in (2, 1, 0)
        for name in ("a", "b")
    ]
    remote.upsert(parts)
    assert http.writes == [[str(one.id) for one in parts[start : start + 2]] for start in (0, 2, 4)]


def test_requests_are_bounded_in_bytes(http):
    settings = QdrantSettings(request_bytes=4000)
    engine = QdrantEngine("bytes", url=http.url, settings=settings)
    engine.open(CHANNELS)
    http.writes.clear()
    engine.upsert([point(engine, number) for number in range(20)])
    assert sum(map(len, http.writes)) == 20
    assert max(map(len, http.writes)) <= 4
    engine.close()
    http.local.delete_collection("bytes")


def test_a_point_larger_than_a_request_may_be_is_refused_before_anything_is_sent(http):
    engine = QdrantEngine("bytes", url=http.url, settings=QdrantSettings(request_bytes=2**20))
    engine.open(CHANNELS)
    http.writes.clear()
    large = point(engine, 2)
    large.vectors["multi"] = np.ones((40_000, 2), np.float32)
    with pytest.raises(
        InputError, match=r"'document 2' takes 1\.7 MiB .* allows 1\.0 MiB: .*dim=128.*prefer_grpc"
    ):
        engine.upsert([point(engine, 1), large])
    assert http.writes == []
    engine.close()
    http.local.delete_collection("bytes")


class Scripted:
    """A client that raises what it is given, one after another, and then answers."""

    def __init__(self, *errors):
        self.errors = list(errors)
        self.calls = 0

    def count(self, collection_name):
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return "answer"


def calls(client, sleep=lambda seconds: None, local=False, **settings):
    connection = Connection(
        client=client, place="http://x", local=local, grpc=False, persistent=True, ours=False
    )
    return QdrantCalls(connection, "c", QdrantSettings(**settings), sleep=sleep)


def lost():
    return ResponseHandlingException(httpx.ReadError("lost"))


def test_waits_grow_and_are_never_the_same_for_all(monkeypatch):
    monkeypatch.setattr(random, "uniform", lambda low, high: low)
    waits = []
    assert (
        calls(Scripted(*[lost()] * 4), waits.append, backoff_s=1.0, longest_wait_s=4.0)("count") == "answer"
    )
    assert waits == [0.5, 1.0, 2.0, 2.0]


def test_what_the_server_asks_to_wait_is_waited_at_least():
    waits = []
    client = Scripted(ResourceExhaustedResponse("slow down", 7))
    assert calls(client, waits.append, backoff_s=1.0)("count") == "answer"
    assert 7.5 <= waits[0] <= 8.0


def test_a_server_that_asks_for_too_long_a_wait_has_failed():
    client = Scripted(ResourceExhaustedResponse("slow down", 7))
    with pytest.raises(EngineError, match="slow down"):
        calls(client, longest_wait_s=5.0)("count")
    assert client.calls == 1


class RpcError(grpc.RpcError):
    def __init__(self, code, details):
        self._code, self._details = code, details

    def code(self):
        return self._code

    def details(self):
        return self._details


@pytest.mark.parametrize(
    ("code", "passing"),
    [
        (grpc.StatusCode.UNAVAILABLE, True),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, True),
        (grpc.StatusCode.DEADLINE_EXCEEDED, True),
        (grpc.StatusCode.INTERNAL, True),
        (grpc.StatusCode.INVALID_ARGUMENT, False),
        (grpc.StatusCode.NOT_FOUND, False),
        (grpc.StatusCode.UNAUTHENTICATED, False),
        (grpc.StatusCode.UNIMPLEMENTED, False),
    ],
)
def test_grpc_failures_are_sent_again_just_as_those_of_http(code, passing):
    client = Scripted(RpcError(code, "said so"))
    if passing:
        assert calls(client)("count") == "answer"
    else:
        with pytest.raises(EngineError, match="said so"):
            calls(client)("count")
        assert client.calls == 1


def test_a_grpc_message_beyond_the_limit_is_not_sent_again():
    fault = fault_of(
        RpcError(grpc.StatusCode.RESOURCE_EXHAUSTED, "Received message larger than max (5 vs. 4)")
    )
    assert not fault.passing


@pytest.mark.parametrize(("local", "most"), [(False, 3), (True, 1)], ids=["remote", "local"])
def test_no_more_requests_are_under_way_than_allowed(local, most):
    class Counting:
        under_way = highest = done = 0
        lock = threading.Lock()
        full = threading.Barrier(most)

        def count(self, collection_name):
            with self.lock:
                self.under_way += 1
                self.highest = max(self.highest, self.under_way)
            self.full.wait(5)
            with self.lock:
                self.under_way -= 1
                self.done += 1

    client = Counting()
    call = calls(client, max_in_flight=3, local=local)
    with ThreadPoolExecutor(9) as threads:
        for pending in [threads.submit(call, "count") for _ in range(9)]:
            pending.result()
    assert (client.highest, client.done) == (most, 9)


def test_who_came_first_is_let_in_first():
    turns, order, queued = Turns(1), [], []
    with ThreadPoolExecutor(5) as threads, turns:
        for name in range(5):
            queued.append(threads.submit(enter, turns, order, name))
            while len(turns._waiting) <= name:
                time.sleep(0.001)
        assert order == []
        turns.__exit__()
        for pending in queued:
            pending.result()
        turns.__enter__()
    assert order == [0, 1, 2, 3, 4]


def enter(turns, order, name):
    with turns:
        order.append(name)


def test_a_caller_that_is_interrupted_while_it_waits_takes_no_turn_from_others(monkeypatch):
    turns, order = Turns(1), []

    def interrupted(event):
        raise KeyboardInterrupt

    with turns:
        monkeypatch.setattr(threading.Event, "wait", interrupted)
        with pytest.raises(KeyboardInterrupt):
            enter(turns, order, "interrupted")
        monkeypatch.undo()
    enter(turns, order, "next")
    assert order == ["next"]


def test_threads_may_write_and_search_in_local_mode_at_once():
    with_client = QdrantEngine("threads", client=QdrantClient(":memory:"))
    with_client.open(CHANNELS[:1])

    def work(start):
        for number in range(start, start + 25):
            dense = {"dense": unit(1.0, number, 0, 0)}
            passage = Passage(document=str(number), text="x")
            with_client.upsert([Point(id=with_client.point_id(str(number)), passage=passage, vectors=dense)])
            with_client.search("dense", unit(1, 0, 0, 0), 5)

    with ThreadPoolExecutor(4) as threads:
        for pending in [threads.submit(work, 100 * thread) for thread in range(4)]:
            pending.result()
    assert with_client.count() == 100


def free_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


def test_where_no_server_answers_the_error_says_how_to_start_one():
    engine = QdrantEngine("any", url=f"http://127.0.0.1:{free_port()}")
    with pytest.raises(EngineError, match=r"no Qdrant server answers at http://127\.0\.0\.1.*docker run"):
        engine.open(CHANNELS)
    engine.close()


def test_where_no_server_answers_over_grpc_the_error_says_so_too():
    client = QdrantClient(
        host="127.0.0.1", grpc_port=free_port(), prefer_grpc=True, check_compatibility=False, timeout=2
    )
    with pytest.raises(EngineError, match=r"no Qdrant server answers.*docker run"):
        QdrantEngine("any", client=client).open(CHANNELS)
    client.close()


def test_the_key_is_sent_and_shown_nowhere(http, caplog):
    caplog.set_level("DEBUG")
    secret = "s3cret-key"
    with pytest.warns(UserWarning, match="insecure") as warned:
        engine = QdrantEngine("kept", url=http.url.replace("//", "//user:passw0rd@"), api_key=secret)
    engine.open(CHANNELS)
    http.faults.append(Fault(401))
    with pytest.raises(EngineError) as told:
        engine.upsert([point(engine, 1)])
    engine.close()

    assert http.headers[-1]["api-key"] == secret
    shown = [
        repr(engine),
        str(told.value),
        repr(told.value),
        caplog.text,
        *(str(one.message) for one in warned),
    ]
    assert not any(word in text for text in shown for word in (secret, "passw0rd"))
    http.local.delete_collection("kept")


def test_a_client_that_was_given_is_used_and_not_closed():
    client = QdrantClient(":memory:")
    engine = QdrantEngine("given", client=client)
    engine.open(CHANNELS)
    engine.close()
    engine.close()
    with pytest.raises(IndexClosedError):
        engine.count()
    assert client.collection_exists("given")
    client.close()


def test_a_client_and_an_address_contradict_each_other():
    with pytest.raises(InputError, match="either the client"):
        QdrantEngine("x", client=object(), url="http://localhost:6333")


def test_an_engine_that_is_not_open_says_so():
    engine = QdrantEngine("x", client=QdrantClient(":memory:"))
    assert engine.channels() == []
    assert engine.manifest() is None
    with pytest.raises(IndexStoreError, match=r"open\(channels\)"):
        engine.search("dense", unit(1, 0, 0, 0), 1)


def test_only_what_outlives_the_process_counts_as_persistent(tmp_path):
    memory, disk = QdrantClient(":memory:"), QdrantClient(path=str(tmp_path))
    kinds = [QdrantEngine("x", client=client).capabilities for client in (memory, disk)]
    server = QdrantEngine("x", url="http://localhost:6333")
    kinds.append(server.capabilities)
    assert [kind.persistent for kind in kinds] == [False, True, True]
    assert [kind.approximate for kind in kinds] == [False, False, True]
    disk.close()
    server.close()


@pytest.mark.parametrize("grpc", [True, False])
def test_only_a_server_spoken_to_by_rest_bounds_a_point(grpc):
    engine = QdrantEngine("any", prefer_grpc=grpc, settings=QdrantSettings(request_bytes=1000))
    large = point(engine, 1, title="x" * 1000)
    if grpc:
        assert engine._cutter.requests([large]) == [[large]]
    else:
        with pytest.raises(InputError, match="request_bytes"):
            engine._cutter.requests([large])
    engine.close()


def test_a_local_folder_keeps_points_and_manifest(tmp_path):
    for expected in (0, 1):
        client = QdrantClient(path=str(tmp_path))
        engine = QdrantEngine("kept", client=client)
        engine.open(CHANNELS)
        assert engine.count() == expected
        assert engine.manifest() == ({"format": 1} if expected else None)
        engine.upsert([point(engine, 1)])
        engine.keep_manifest({"format": 1})
        client.close()


def test_a_manifest_that_is_no_json_is_told():
    client = QdrantClient(":memory:")
    engine = QdrantEngine("broken", client=client)
    engine.open(CHANNELS)
    client.update_collection("broken", metadata={"bge_components": "{"})
    with pytest.raises(BrokenIndexError, match="broken"):
        engine.manifest()


@pytest.mark.parametrize(
    ("setting", "value"), [("upsert_batch", 0), ("retries", -1), ("oversampling", 0.5), ("max_in_flight", 0)]
)
def test_settings_that_make_no_sense_are_refused(setting, value):
    with pytest.raises(InputError, match=setting):
        QdrantSettings(**{setting: value})
