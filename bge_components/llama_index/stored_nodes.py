"""Nodes on their way into an index and back: ids, metadata and relationships kept, the text stored once."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from llama_index.core.schema import (
    BaseNode,
    ImageDocument,
    ImageNode,
    IndexNode,
    MetadataMode,
    Node,
    TextNode,
)
from llama_index.core.schema import Document as LlamaDocument

from ..errors import InputError, InputTypeError
from ..retrieval import Document, Hit

KEPT = "_llama_index"
"""Metadata field of an index under which lies what a node has beside text and metadata."""

SOURCE = (KEPT, "ref_doc_id")
"""Path of the id of the document that a node was cut from; its own id where it has no source."""

_KINDS: dict[str, type[BaseNode]] = {
    kind.class_name(): kind for kind in (TextNode, IndexNode, ImageNode, Node, LlamaDocument, ImageDocument)
}


def text_of(node: BaseNode) -> str:
    """Give the text that is indexed: what LlamaIndex embeds, with the metadata that it shows to embeddings."""
    return node.get_content(metadata_mode=MetadataMode.EMBED)


def documents_of(nodes: Iterable[BaseNode]) -> Iterator[Document]:
    """Give nodes as documents of an index, one by one; the nodes are not written to.

    Metadata fields are the document's, so that filters see them.

    Raises:
        InputError: If a node holds something that is no JSON, or a metadata field with the store's own name.
    """
    return (_document_of(node) for node in nodes)


def checked_nodes_to_store(nodes: Any) -> list[BaseNode]:
    """Give nodes as a list.

    Raises:
        InputTypeError: If they are no list of nodes.
    """
    if isinstance(nodes, (str, bytes, BaseNode)) or not isinstance(nodes, Iterable):
        raise InputTypeError(f"nodes must be a list of nodes, got one {type(nodes).__name__}")
    listed = list(nodes)
    for place, node in enumerate(listed):
        if not isinstance(node, BaseNode):
            raise InputTypeError(f"nodes[{place}] must be a node, got {type(node).__name__}")
    return listed


def node_of(identity: str, text: str, metadata: dict[str, Any]) -> BaseNode:
    """Give a node back as it was stored, without its embedding.

    What LlamaIndex did not store becomes a TextNode with the document's id, text and metadata. A node of a class of
    somebody else's comes back as TextNode.

    Args:
        identity: The document's id.
        text: The whole text.
        metadata: The document's.
    """
    fields = {name: value for name, value in metadata.items() if name != KEPT}
    kept = metadata.get(KEPT)
    if kept is None:
        return TextNode(id_=identity, text=text, metadata=fields)
    content = {**json.loads(kept["content"]), "metadata": fields}
    place = kept["text"]
    if place is not None:
        own = text[place["start"] : place["stop"]]
        _text_holder(content)["text"] = place["before"] + own + place["after"]
    return _KINDS.get(kept["kind"], TextNode).from_dict(content)


def node_of_hit(hit: Hit, *, window: bool = False) -> BaseNode:
    """Give the node that was found.

    Args:
        hit: What a search gave.
        window: Of a node that was indexed in windows, give a copy whose text is the window that was found; a TextNode
            also says where it stands.
    """
    node = node_of(hit.id, hit.text, hit.metadata)
    if not window or hit.window is None:
        return node
    place = (hit.metadata.get(KEPT) or {}).get("text") or {"start": 0, "stop": len(hit.text), "before": ""}
    start, stop = max(hit.window.start, place["start"]), min(hit.window.stop, place["stop"])
    if start >= stop:  # a window of nothing but metadata
        return _with_text(node, hit.passage)
    found = _with_text(node, hit.text[start:stop])
    if not isinstance(node, TextNode):
        return found
    shift = (node.start_char_idx or 0) + len(place["before"]) - place["start"]
    return found.model_copy(update={"start_char_idx": start + shift, "end_char_idx": stop + shift})


def _with_text(node: BaseNode, text: str) -> BaseNode:
    """Give a copy with another text; LlamaIndex's documents have it in a resource."""
    if isinstance(node, Node) and node.text_resource is not None:
        resource = node.text_resource.model_copy(update={"text": text})
        return node.model_copy(update={"text_resource": resource})
    return node.model_copy(update={"text": text})


def _document_of(node: BaseNode) -> Document:
    text = text_of(node)
    content = _json_of(node)
    del content["embedding"]
    metadata = content.pop("metadata")
    if KEPT in metadata:
        raise InputError(
            f"node {node.node_id!r} has a metadata field {KEPT!r}, which the store needs: rename it"
        )
    kept = {
        "kind": content.pop("class_name"),
        "ref_doc_id": node.ref_doc_id or node.node_id,
        "text": _without_text(content, text),
        "content": json.dumps(content, ensure_ascii=False),
    }
    return Document(id=node.node_id, text=text, metadata={**metadata, KEPT: kept})


def _json_of(node: BaseNode) -> dict[str, Any]:
    try:
        return node.model_dump(mode="json")
    except ValueError as error:  # pydantic's, and LlamaIndex's for the object of an IndexNode
        raise InputError(f"node {node.node_id!r} cannot be stored as JSON: {error}") from error


def _without_text(content: dict[str, Any], indexed: str) -> dict[str, int | str] | None:
    """Take the text out of a node's contents where it stands word for word in what is indexed.

    Returns:
        Its place there, and the white space around it, which may not be there; None where the text stays in the
        contents.
    """
    holder = _text_holder(content)
    own = holder.get("text") or ""
    words = own.strip()
    start = indexed.rfind(words)
    if not words or start < 0:
        return None
    content.pop("text", None)
    holder.pop("text", None)
    before, after = own.split(words, 1)
    return {"start": start, "stop": start + len(words), "before": before, "after": after}


def _text_holder(content: dict[str, Any]) -> dict[str, Any]:
    """Give the part of a node's contents that holds the text: older kinds of nodes have it beside the rest."""
    return content.get("text_resource") or content
