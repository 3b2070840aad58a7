"""What went wrong at a Qdrant server, read from any of its client's errors, and told in ours."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ...._extras import require
from ....errors import EngineError, IndexFullError, IndexStoreError

START_A_SERVER = "docker run -p 6333:6333 -p 6334:6334 qdrant/qdrant"

_STATUS_OF_CODE = {
    "INVALID_ARGUMENT": 400,
    "OUT_OF_RANGE": 400,
    "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
    "NOT_FOUND": 404,
    "ALREADY_EXISTS": 409,
    "FAILED_PRECONDITION": 412,
    "RESOURCE_EXHAUSTED": 429,
    "INTERNAL": 500,
    "UNKNOWN": 500,
    "UNIMPLEMENTED": 501,
    "UNAVAILABLE": 503,
    "ABORTED": 503,
    "DEADLINE_EXCEEDED": 504,
}
"""The HTTP status that stands for a gRPC code."""

_FOR_GOOD = (501, 505, 507)
_LONGEST_MESSAGE = 300


@dataclass(frozen=True, kw_only=True)
class Fault:
    """What went wrong, whichever way the server was spoken to.

    Attributes:
        message: What the server or the transport said.
        status: HTTP status; None where there was no answer, and for what a client in local mode raised.
        no_answer: Whether the request got no answer: refused, broken off, or too late.
        unreachable: Whether not even a connection came about.
        retry_after_s: How long the server asks to wait.
    """

    message: str
    status: int | None = None
    no_answer: bool = False
    unreachable: bool = False
    retry_after_s: float | None = None

    @property
    def passing(self) -> bool:
        """Whether the same request may well succeed later."""
        if self.no_answer:
            return True
        if self.status is None or self.full:
            return False
        return self.status == 429 or (self.status >= 500 and self.status not in _FOR_GOOD)

    @property
    def full(self) -> bool:
        """Whether the server has no room on its disk."""
        said = self.message.lower()
        return self.status == 507 or "no space left" in said or "out of disk" in said


def fault_of(error: Exception) -> Fault:
    """Read an error of the client: of HTTP, of gRPC, or of its local mode."""
    exceptions = require("qdrant_client.http.exceptions", extra="qdrant")
    client_exceptions = require("qdrant_client.common.client_exceptions", extra="qdrant")
    grpc = require("grpc", extra="qdrant")
    if isinstance(error, exceptions.UnexpectedResponse):
        return _fault_of_response(error)
    if isinstance(error, exceptions.ResponseHandlingException):
        return _fault_of_transport(error.source)
    if isinstance(error, client_exceptions.QdrantException):
        return Fault(message=_short(error), status=429, retry_after_s=getattr(error, "retry_after_s", None))
    if isinstance(error, grpc.RpcError):
        return _fault_of_rpc(error)
    return _fault_of_local_mode(error)


def _fault_of_response(error: Any) -> Fault:
    return Fault(
        message=_short(_said(error.content) or error.reason_phrase),
        status=error.status_code,
        retry_after_s=_seconds(error.headers or {}),
    )


def _said(content: bytes) -> str:
    """Give the server's own words: it answers {"status": {"error": ...}}, a proxy before it does not."""
    try:
        said = json.loads(content)["status"]["error"]
    except (ValueError, KeyError, TypeError):
        return ""
    return str(said)


def _seconds(headers: Mapping[str, str]) -> float | None:
    """Read Retry-After; a date instead of seconds counts as none."""
    asked = headers.get("retry-after", "")
    return float(asked) if asked.isdecimal() else None


def _fault_of_transport(source: Exception) -> Fault:
    httpx = require("httpx", extra="qdrant")
    refused = isinstance(source, (httpx.ConnectError, httpx.ConnectTimeout))
    return Fault(
        message=_short(source) or type(source).__name__,
        no_answer=isinstance(source, httpx.TransportError)
        and not isinstance(source, httpx.UnsupportedProtocol),
        unreachable=refused,
    )


def _fault_of_rpc(error: Any) -> Fault:
    code, message = error.code().name, _short(error.details() or error.code().name)
    unreachable = code == "UNAVAILABLE" and "connect" in message.lower()
    return Fault(
        message=message,
        status=413 if "larger than max" in message else _STATUS_OF_CODE.get(code, 400),
        no_answer=unreachable or code == "DEADLINE_EXCEEDED",
        unreachable=unreachable,
    )


def _fault_of_local_mode(error: Exception) -> Fault:
    message = _short(error) or type(error).__name__
    return Fault(message=message, status=404 if message.endswith("not found") else None)


def _short(said: object) -> str:
    text = " ".join(str(said).split())
    return text if len(text) <= _LONGEST_MESSAGE else text[: _LONGEST_MESSAGE - 1] + "…"


def translated(fault: Fault, asked: str, place: str, sent: int) -> IndexStoreError:
    """Tell a fault in our words.

    Args:
        fault: What went wrong.
        asked: What was asked for.
        place: Where the server is.
        sent: How often the request was sent.
    """
    asked = f"{asked} at {place}"
    if fault.unreachable:
        return EngineError(
            f"no Qdrant server answers at {place} ({fault.message}): check the url, or start one with: "
            f"{START_A_SERVER}"
        )
    if fault.full:
        return IndexFullError(f"{asked} failed, the server has no room on its disk: {fault.message}")
    return EngineError(f"{asked} failed{_times(sent)}{_status(fault)}: {fault.message}{_advice(fault)}")


def _times(sent: int) -> str:
    return "" if sent == 1 else f" {sent} times"


def _status(fault: Fault) -> str:
    return "" if fault.status is None else f" with status {fault.status}"


def _advice(fault: Fault) -> str:
    advice = {
        401: "; check api_key",
        403: "; check api_key",
        404: "; call open() first, or check the collection's name",
        413: "; lower upsert_batch or request_bytes, or speak gRPC",
        429: "; lower max_in_flight, or raise retries",
    }
    return advice.get(fault.status or 0, "")
