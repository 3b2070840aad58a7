"""How passages lie in a Qdrant collection: as this package keeps them, or as another library's store does."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from ....errors import InputError
from ...contracts import Passage, Point, PointId
from ...identity import point_uuid
from .foreign import LangChainLayout, LlamaIndexLayout
from .names import escaped, with_escaped_names, with_unescaped_names
from .payloads import Layout, Payload, check_keys, facts_of, passage_of

LayoutName = Literal["own", "langchain", "llama_index"]


@dataclass(frozen=True, kw_only=True)
class OwnLayout:
    """{"document", "text", "metadata", "digest", "window"?, "whole"?}; a vector is named as its channel."""

    name: str = "own"
    cosine: bool = False
    foreign: bool = False
    metadata_path: tuple[str, ...] = ("metadata",)
    document_path: tuple[str, ...] = ("document",)
    window_path: tuple[str, ...] = ("window", "number")

    def vector_name(self, channel: str, found: Collection[str] = ()) -> str:
        """Give the channel's own name."""
        return channel

    def channel_name(self, vector: str) -> str:
        """Give the vector's own name."""
        return vector

    def fits(self, vectors: Collection[str], payload: Payload | None) -> bool:
        """Say whether vectors and payload are named as here."""
        others = (LangChainLayout(), LlamaIndexLayout())
        if any(set(vectors) & {*other.dense_names, *other.sparse_names} for other in others):
            return False
        return payload is None or {"document", "text"} <= set(payload)

    def point_id(self, document: str, window: int = 0) -> PointId:
        """Give a name-based UUID."""
        return point_uuid(document, window)

    def stored_name(self, name: str) -> str:
        """Give a name that can stand in a path."""
        return escaped(name)

    def document_ids(self, document: str) -> tuple[Sequence[str], Sequence[PointId]]:
        """Give the id that every point holds."""
        return (escaped(document),), ()

    def payload(self, point: Point) -> dict[str, Any]:
        """Give everything by its own name."""
        passage = point.passage
        kept = {"text": passage.text, "metadata": with_escaped_names(passage.metadata)}
        return {**facts_of(passage), **kept}

    def passage(self, identity: PointId, payload: Payload) -> Passage:
        """Read everything by its own name."""
        check_keys(payload, ("document", "text"), identity, self.name)
        metadata = with_unescaped_names(payload.get("metadata") or {})
        return passage_of(payload, payload["document"], payload["text"], metadata)


def layout_of(layout: LayoutName | Layout) -> Layout:
    """Give a layout by its name, or as it is.

    Raises:
        InputError: If there is no layout of that name.
    """
    if not isinstance(layout, str):
        return layout
    for known in LAYOUTS:
        if known.name == layout:
            return known
    raise InputError(
        f"layout must be one of {', '.join(known.name for known in LAYOUTS)}, or a layout, got {layout!r}"
    )


LAYOUTS: tuple[Layout, ...] = (OwnLayout(), LangChainLayout(), LlamaIndexLayout())


__all__ = ["LAYOUTS", "LangChainLayout", "Layout", "LayoutName", "LlamaIndexLayout", "OwnLayout", "layout_of"]
