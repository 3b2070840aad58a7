"""What every layout of a Qdrant collection can do, and what all of them keep of a passage."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from typing import Any, Protocol

from ....errors import BrokenIndexError
from ...contracts import Passage, Point, PointId, Window
from .names import escaped, unescaped

Payload = Mapping[str, Any]


class Layout(Protocol):
    """One way to keep passages as payloads, and channels as named vectors."""

    @property
    def name(self) -> str:
        """Its name, for messages."""
        ...

    @property
    def cosine(self) -> bool:
        """Whether a new collection compares by cosine instead of dot product.

        Vectors of unit length, as encoders give them, compare the same; of others, a cosine collection keeps the
        direction only.
        """
        ...

    @property
    def foreign(self) -> bool:
        """Whether another library reads the collection too, and may have made points of its own."""
        ...

    @property
    def metadata_path(self) -> tuple[str, ...]:
        """Where in the payload the metadata lies."""
        ...

    @property
    def document_path(self) -> tuple[str, ...]:
        """Where in the payload a document's id lies, of points that hold it."""
        ...

    @property
    def window_path(self) -> tuple[str, ...]:
        """Where in the payload the number of a window lies, of points that are one."""
        ...

    def vector_name(self, channel: str, found: Collection[str] = ()) -> str:
        """Give the vector's name of a channel: the one that is there, else that of a new collection."""
        ...

    def channel_name(self, vector: str) -> str:
        """Give the channel that a named vector is."""
        ...

    def fits(self, vectors: Collection[str], payload: Payload | None) -> bool:
        """Say whether a collection may be laid out so.

        Args:
            vectors: Names of its vectors.
            payload: Of any of its points; None where it has none.
        """
        ...

    def point_id(self, document: str, window: int = 0) -> PointId:
        """Give the id of a document's point, or of one of its windows."""
        ...

    def stored_name(self, name: str) -> str:
        """Give a name within the metadata as the payload has it."""
        ...

    def document_ids(self, document: str) -> tuple[Sequence[str], Sequence[PointId]]:
        """Give what finds a document: values at `document_path`, and ids of points that may not hold one."""
        ...

    def payload(self, point: Point) -> dict[str, Any]:
        """Give what is stored of a point besides its vectors."""
        ...

    def passage(self, identity: PointId, payload: Payload) -> Passage:
        """Read a point's payload.

        Raises:
            BrokenIndexError: If it is of another layout.
        """
        ...


def facts_of(passage: Passage) -> dict[str, Any]:
    """Give what an index knows of a passage besides text and metadata."""
    facts: dict[str, Any] = {"document": escaped(passage.document), "digest": passage.digest}
    if passage.window is not None:
        facts["window"] = asdict(passage.window)
        facts["version"] = passage.version
    if passage.whole is not None:
        facts["whole"] = passage.whole
    return facts


def passage_of(facts: Payload, document: str, text: str | None, metadata: Payload | None) -> Passage:
    """Give a passage: facts as `facts_of` gave them, or none of another library's points.

    Args:
        facts: What is known besides.
        document: Its id, as `facts_of` gave it.
        text: Of the passage.
        metadata: As the caller gave it.
    """
    window = facts.get("window")
    return Passage(
        document=unescaped(document),
        text=text or "",
        metadata=dict(metadata or {}),
        digest=facts.get("digest", ""),
        version=facts.get("version", ""),
        window=Window(**window) if window else None,
        whole=facts.get("whole"),
    )


def check_keys(payload: Payload, keys: tuple[str, ...], identity: PointId, layout: str) -> None:
    """Refuse a payload that lacks one of some keys.

    Raises:
        BrokenIndexError: The message names the key and those that are there.
    """
    missing = [key for key in keys if key not in payload]
    if missing:
        raise BrokenIndexError(
            f"point {identity} has no {missing[0]!r} in its payload, as points of layout {layout!r} have; it has "
            f"{sorted(payload)}"
        )
