"""The REST interface of a Qdrant server, as far as the engine speaks it, over the client's local mode."""

from __future__ import annotations

import json
import re
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from qdrant_client import QdrantClient, models


@dataclass(frozen=True)
class Fault:
    """What a write meets instead of being answered.

    Attributes:
        status: Answered with this status; 0: the connection is broken off.
        headers: Sent with the status.
        stores: Whether the write is carried out all the same, and only its answer is lost.
        waits: Waits until the server closes before the answer.
    """

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    stores: bool = False
    waits: bool = False


@dataclass
class QdrantOverHttp:
    """A server on 127.0.0.1.

    Attributes:
        url: Where it is.
        faults: What the next writes of points meet, in order; afterwards they succeed.
        writes: Ids of the points of every write, refused ones included.
        headers: Of every request.
        queries: Arguments in the URL, by path, of the last request there.
        bodies: Of the last request there.
        indexes: What was asked for, index by index.
    """

    url: str = ""
    faults: deque[Fault] = field(default_factory=deque)
    writes: list[list[Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    queries: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    bodies: dict[str, Any] = field(default_factory=dict)
    indexes: list[dict[str, str]] = field(default_factory=list)
    local: QdrantClient = field(default_factory=lambda: QdrantClient(":memory:"))
    lock: threading.Lock = field(default_factory=threading.Lock)
    closing: threading.Event = field(default_factory=threading.Event)


@contextmanager
def qdrant_over_http() -> Iterator[QdrantOverHttp]:
    """Run a server until the block is left."""
    state = QdrantOverHttp()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(state))
    state.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield state
    finally:
        state.closing.set()
        server.shutdown()
        thread.join()
        server.server_close()
        state.local.close()


def _handler(state: QdrantOverHttp) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            url = urlsplit(self.path)
            body = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))) or b"{}")
            state.headers.append({name.lower(): value for name, value in self.headers.items()})
            place = f"{self.command} {re.sub(r'/collections/[^/]+', '', url.path)}"
            state.queries[place] = parse_qs(url.query)
            state.bodies[place] = body
            state.indexes += [body] * (place == "PUT /index")
            fault = self._fault(body) if place in WRITES else None
            if fault is None or fault.stores:
                status, answer = self._carried_out(place, url.path.split("/")[2], body)
            if fault is not None:
                if fault.waits:
                    state.closing.wait(10)
                if not fault.status:
                    return
                status, answer = fault.status, {"status": {"error": f"scripted {fault.status}"}}
            self._send(status, answer, fault.headers if fault else {})

        do_GET = do_PUT = do_POST = do_PATCH = do_DELETE = _answer

        def _fault(self, body: Any) -> Fault | None:
            with state.lock:
                state.writes.append([point["id"] for point in body.get("points", [])])
                return state.faults.popleft() if state.faults else None

        def _carried_out(self, place: str, collection: str, body: Any) -> tuple[int, Any]:
            try:
                with state.lock:
                    result = ROUTES[place](state.local, collection, body)
            except ValueError as error:
                status = 404 if "not found" in str(error) else 409 if "already exists" in str(error) else 400
                return status, {"status": {"error": str(error)}}
            return 200, {"result": result, "status": "ok", "time": 0.0}

        def _send(self, status: int, answer: Any, headers: dict[str, str]) -> None:
            content = json.dumps(answer).encode()
            self.send_response(status)
            for name, value in {"Content-Length": str(len(content)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *arguments: Any) -> None:
            """Say nothing."""

    return Handler


def _create(local: QdrantClient, name: str, body: Any) -> Any:
    asked = models.CreateCollection.model_validate(body)
    return local.create_collection(
        name,
        vectors_config=asked.vectors,
        sparse_vectors_config=asked.sparse_vectors,
        shard_number=asked.shard_number,
        replication_factor=asked.replication_factor,
        write_consistency_factor=asked.write_consistency_factor,
        on_disk_payload=asked.on_disk_payload,
    )


def _upsert(local: QdrantClient, name: str, body: Any) -> Any:
    return _json(local.upsert(name, models.PointsList.model_validate(body).points))


def _retrieve(local: QdrantClient, name: str, body: Any) -> Any:
    asked = models.PointRequest.model_validate(body)
    found = local.retrieve(name, asked.ids, with_payload=asked.with_payload, with_vectors=asked.with_vector)
    return [_json(record) for record in found]


def _scroll(local: QdrantClient, name: str, body: Any) -> Any:
    asked = models.ScrollRequest.model_validate(body)
    points, after = local.scroll(
        name,
        scroll_filter=asked.filter,
        limit=asked.limit,
        offset=asked.offset,
        with_payload=asked.with_payload,
        with_vectors=asked.with_vector,
    )
    return {"points": [_json(point) for point in points], "next_page_offset": after}


def _query(local: QdrantClient, name: str, body: Any) -> Any:
    asked = models.QueryRequest.model_validate(body)
    return _json(
        local.query_points(
            name,
            query=asked.query,
            using=asked.using,
            query_filter=asked.filter,
            limit=asked.limit,
            with_payload=asked.with_payload,
        )
    )


def _count(local: QdrantClient, name: str, body: Any) -> Any:
    asked = models.CountRequest.model_validate(body)
    return {"count": int(local.count(name, count_filter=asked.filter).count)}


def _delete(local: QdrantClient, name: str, body: Any) -> Any:
    selector = models.PointIdsList if "points" in body else models.FilterSelector
    return _json(local.delete(name, points_selector=selector.model_validate(body)))


def _update(local: QdrantClient, name: str, body: Any) -> Any:
    return local.update_collection(name, metadata=body.get("metadata"))


def _json(answer: Any) -> Any:
    return answer.model_dump(mode="json")


WRITES = ("PUT /points",)
ROUTES: dict[str, Callable[[QdrantClient, str, Any], Any]] = {
    "GET /exists": lambda local, name, body: {"exists": local.collection_exists(name)},
    "GET ": lambda local, name, body: _json(local.get_collection(name)),
    "PUT ": _create,
    "PATCH ": _update,
    "DELETE ": lambda local, name, body: local.delete_collection(name),
    "PUT /index": lambda local, name, body: {"operation_id": 0, "status": "completed"},
    "PUT /points": _upsert,
    "POST /points": _retrieve,
    "POST /points/scroll": _scroll,
    "POST /points/query": _query,
    "POST /points/count": _count,
    "POST /points/delete": _delete,
}
