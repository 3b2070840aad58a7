"""Qdrant collections of other libraries, read and extended so that these still read them."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from ....errors import BrokenIndexError
from ...contracts import Passage, Point, PointId
from ...identity import point_uuid
from .names import escaped
from .payloads import Payload, check_keys, facts_of, passage_of

OURS = "_bge"
"""Key of a payload under which lies what its own library has no place for; that library never looks there."""

_NODE = "_node_content"


@dataclass(frozen=True, kw_only=True)
class _ForeignLayout:
    """What layouts of other libraries share: which point a document is."""

    dense_names: tuple[str, ...]
    sparse_names: tuple[str, ...]
    cosine: bool = True
    foreign: bool = True
    document_path: tuple[str, ...] = (OURS, "document")
    window_path: tuple[str, ...] = (OURS, "window", "number")

    def vector_name(self, channel: str, found: Collection[str] = ()) -> str:
        """Give the name that the library uses, the first of several where none is there."""
        names = {"dense": self.dense_names, "sparse": self.sparse_names}.get(channel, (channel,))
        return next((name for name in names if name in found), names[0])

    def channel_name(self, vector: str) -> str:
        """Give "dense" and "sparse" for the library's names, and any other name as it is."""
        if vector in self.dense_names:
            return "dense"
        return "sparse" if vector in self.sparse_names else vector

    def point_id(self, document: str, window: int = 0) -> PointId:
        """Keep an id that Qdrant takes (a UUID, or a whole number below 2**64), else give a name-based UUID."""
        known = _taken_id(document)
        if known is None or window:
            return point_uuid(document if known is None else str(known), window)
        return known

    def stored_name(self, name: str) -> str:
        """Give the name as it is: the other library reads it too."""
        return name

    def document_ids(self, document: str) -> tuple[Sequence[str], Sequence[PointId]]:
        """Give the ways to write its id, and its point, which may be the other library's."""
        known = _taken_id(document)
        if isinstance(known, UUID):
            return tuple(dict.fromkeys((document, str(known), known.hex))), (known,)
        return (escaped(document),), () if known is None else (known,)

    def _named_as_here(self, vectors: Collection[str]) -> bool:
        return bool(set(vectors) & {*self.dense_names, *self.sparse_names})


@dataclass(frozen=True, kw_only=True)
class LangChainLayout(_ForeignLayout):
    """As `langchain_qdrant.QdrantVectorStore` keeps Documents (langchain-qdrant 1.1).

    Attributes:
        dense_names: Its `vector_name`; "" is the unnamed vector.
        sparse_names: Its `sparse_vector_name`.
        content_key: Its `content_payload_key`.
        metadata_key: Its `metadata_payload_key`.
    """

    name: str = "langchain"
    dense_names: tuple[str, ...] = ("",)
    sparse_names: tuple[str, ...] = ("langchain-sparse",)
    content_key: str = "page_content"
    metadata_key: str = "metadata"

    @property
    def metadata_path(self) -> tuple[str, ...]:
        """The metadata's key."""
        return (self.metadata_key,)

    def fits(self, vectors: Collection[str], payload: Payload | None) -> bool:
        """Say whether vectors and payload are named as here."""
        return self._named_as_here(vectors) and (payload is None or self.content_key in payload)

    def payload(self, point: Point) -> dict[str, Any]:
        """Give a Document's payload, and our own facts beside it."""
        passage = point.passage
        metadata = dict(passage.metadata)
        return {self.content_key: passage.text, self.metadata_key: metadata, OURS: facts_of(passage)}

    def passage(self, identity: PointId, payload: Payload) -> Passage:
        """Read a Document's payload."""
        check_keys(payload, (self.content_key,), identity, self.name)
        ours = payload.get(OURS) or {}
        document = ours.get("document", str(identity))
        return passage_of(ours, document, payload[self.content_key], payload.get(self.metadata_key))


@dataclass(frozen=True, kw_only=True)
class LlamaIndexLayout(_ForeignLayout):
    """As LlamaIndex's `QdrantVectorStore` keeps nodes (llama-index-vector-stores-qdrant 0.10).

    A document added here becomes a TextNode, whose id is the point's, with the document as its source: that library's
    `delete(ref_doc_id)` removes all windows of the document.

    Attributes:
        dense_names: Names of the dense vector, that of new collections first; "" is the unnamed one.
        sparse_names: Names of the sparse vector.
        text_key: Where points of early versions, which hold no node, keep the text.
    """

    name: str = "llama_index"
    dense_names: tuple[str, ...] = ("text-dense", "")
    sparse_names: tuple[str, ...] = ("text-sparse-new", "text-sparse")
    metadata_path: tuple[str, ...] = ()
    text_key: str = "text"

    def fits(self, vectors: Collection[str], payload: Payload | None) -> bool:
        """Say whether vectors and payload are named as here."""
        if not self._named_as_here(vectors):
            return False
        return payload is None or _NODE in payload or ("document" not in payload and self.text_key in payload)

    def payload(self, point: Point) -> dict[str, Any]:
        """Give a node's payload, as `llama_index.core.vector_stores.utils.node_to_metadata_dict` does, and ours."""
        passage = point.passage
        node = json.dumps(_text_node(str(point.id), passage), ensure_ascii=False)
        source = dict.fromkeys(("document_id", "doc_id", "ref_doc_id"), passage.document)
        return {**passage.metadata, _NODE: node, "_node_type": "TextNode", **source, OURS: facts_of(passage)}

    def passage(self, identity: PointId, payload: Payload) -> Passage:
        """Read a node's payload."""
        ours = payload.get(OURS) or {}
        document = ours.get("document", str(identity))
        if _NODE not in payload:
            check_keys(payload, (self.text_key,), identity, self.name)
            metadata = {name: value for name, value in payload.items() if name not in (self.text_key, OURS)}
            return passage_of(ours, document, payload[self.text_key], metadata)
        node = _parsed(payload[_NODE], identity)
        return passage_of(ours, document, _node_text(node), node.get("metadata"))


def _taken_id(document: str) -> PointId | None:
    """Give the document's id as one of Qdrant's, None where Qdrant takes no such id."""
    if document.isascii() and document.isdecimal() and len(document) <= 20:
        number = int(document)
        return number if str(number) == document and number < 2**64 else None
    if len(document) not in (32, 36):
        return None
    try:
        known = UUID(document)
    except ValueError:
        return None
    return known if document.lower() in (str(known), known.hex) else None


def _text_node(identity: str, passage: Passage) -> dict[str, Any]:
    """Give what `TextNode.model_dump(mode="json")` of llama-index-core 0.14 gives, but for the embedding."""
    window = passage.window
    source: dict[str, Any] = {
        "node_id": passage.document,
        "node_type": "4",
        "metadata": {},
        "hash": None,
        "class_name": "RelatedNodeInfo",
    }
    return {
        "id_": identity,
        "embedding": None,
        "metadata": dict(passage.metadata),
        "excluded_embed_metadata_keys": [],
        "excluded_llm_metadata_keys": [],
        "relationships": {"1": source},
        "metadata_template": "{key}: {value}",
        "metadata_separator": "\n",
        "text": passage.text,
        "mimetype": "text/plain",
        "start_char_idx": window.start if window else None,
        "end_char_idx": window.stop if window else None,
        "text_template": "{metadata_str}\n\n{content}",
        "class_name": "TextNode",
    }


def _parsed(node: Any, identity: PointId) -> dict[str, Any]:
    try:
        parsed = json.loads(node)
    except (TypeError, ValueError) as error:
        raise BrokenIndexError(f"the node of point {identity} is no JSON: {error}") from error
    return parsed if isinstance(parsed, dict) else {}


def _node_text(node: Mapping[str, Any]) -> str:
    """Give the text of a TextNode, or of a node that keeps its text as a resource."""
    resource = node.get("text_resource") or {}
    return node.get("text") or resource.get("text") or ""
