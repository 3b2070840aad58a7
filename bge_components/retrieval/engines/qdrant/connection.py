"""A Qdrant client, made or given, and what is known of it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from ...._extras import require

DEFAULT_URL = "http://localhost:6333"


@dataclass(frozen=True, kw_only=True)
class Connection:
    """A client and what is known of it.

    Attributes:
        client: A `qdrant_client.QdrantClient`.
        place: Where its server is, for messages: no key, no password.
        local: Whether it is in its local mode, which is exact and knows no search parameters.
        grpc: Whether it speaks gRPC where it can.
        persistent: Whether what it acknowledged outlives the process.
        ours: Whether it was made here, and so is to be closed here.
    """

    client: Any
    place: str
    local: bool
    grpc: bool
    persistent: bool
    ours: bool

    @classmethod
    def made(cls, url: str | None, api_key: str | None, prefer_grpc: bool, timeout_s: float) -> Connection:
        """Make a client, which asks nothing of the server yet: its look at the version warns from a thread."""
        client = require("qdrant_client", extra="qdrant").QdrantClient(
            url=url or DEFAULT_URL,
            api_key=api_key,
            prefer_grpc=prefer_grpc,
            timeout=math.ceil(timeout_s),
            check_compatibility=False,
        )
        return cls._around(client, ours=True)

    @classmethod
    def given(cls, client: Any) -> Connection:
        """Take a client that somebody else closes."""
        return cls._around(client, ours=False)

    @classmethod
    def _around(cls, client: Any, ours: bool) -> Connection:
        options = client.init_options
        on_disk = options["path"] is not None
        local = on_disk or options["location"] == ":memory:"
        return cls(
            client=client,
            place=_place(options),
            local=local,
            grpc=bool(options["prefer_grpc"]) and not local,
            persistent=on_disk or not local,
            ours=ours,
        )


def _place(options: Mapping[str, Any]) -> str:
    if options["path"] is not None:
        return str(options["path"])
    given = str(options["url"] or options["location"] or options["host"] or DEFAULT_URL)
    parts = urlsplit(given if "//" in given else f"//{given}")
    if given == ":memory:" or parts.hostname is None:
        return given
    scheme = f"{parts.scheme}://" if parts.scheme else ""
    return f"{scheme}{parts.hostname}" + (f":{parts.port}" if parts.port else "")
