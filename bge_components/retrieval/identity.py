"""Which id a document's point has in engines of our own."""

from __future__ import annotations

import hashlib
from uuid import UUID

NAMESPACE = UUID("5f0c7a52-6d0b-5c33-9f55-0b9e3a2c61d4")
"""Never changes: ids made with it are on disks."""


def point_uuid(document: str, window: int = 0) -> UUID:
    """Give the id of a document's point, or of one of its windows.

    A name-based UUID, version 5 (RFC 9562, section 5.5), of the window's number, a colon, and the document's id. The
    number ends at the first colon, so that no id and window can be read as another id and window. Any string is an
    id: a lone surrogate, which UTF-8 refuses, is written as three bytes that no other string gives.

    Args:
        document: The document's id.
        window: From 0.
    """
    name = f"{window}:".encode() + document.encode("utf-8", "surrogatepass")
    return UUID(bytes=hashlib.sha1(NAMESPACE.bytes + name, usedforsecurity=False).digest()[:16], version=5)
