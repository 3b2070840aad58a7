"""LangChain's documents on their way into an index, and hits on their way out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any
from uuid import uuid4

from langchain_core.documents import Document

from ..errors import InputError, InputTypeError
from ..retrieval import Document as IndexDocument
from ..retrieval import Hit
from ..texts import checked_texts
from .reranker import SCORE_KEY

CHANNEL_SCORES_KEY = "retrieval_scores"
WINDOW_KEY = "best_window"


def of_texts(
    texts: Iterable[str],
    metadatas: Sequence[dict[str, Any]] | None = None,
    ids: Sequence[str | None] | None = None,
) -> list[IndexDocument]:
    """Give texts as documents of an index, each with an id: its own, or a random one.

    Raises:
        InputTypeError: If a text is no string.
        InputError: If there are not as many metadatas or ids as texts.
    """
    given = checked_texts(texts)
    metadatas = _as_many("metadatas", metadatas, given) or [{}] * len(given)
    ids = _as_many("ids", ids, given) or [None] * len(given)
    return [
        IndexDocument(text=text, id=str(uuid4()) if one is None else one, metadata=metadata or {})
        for text, metadata, one in zip(given, metadatas, ids)
    ]


def of_documents(
    documents: Iterable[Document], ids: Sequence[str | None] | None = None
) -> list[IndexDocument]:
    """Give LangChain's documents as those of an index; `ids` go before the documents' own.

    Raises:
        InputTypeError: If an item is no Document.
        InputError: If there are not as many ids as documents.
    """
    given = list(documents)
    for place, document in enumerate(given):
        if not isinstance(document, Document):
            raise InputTypeError(f"documents[{place}] must be a Document, got {type(document).__name__}")
    return of_texts(
        [document.page_content for document in given],
        [document.metadata for document in given],
        [document.id for document in given] if ids is None else ids,
    )


def of_index(document: IndexDocument) -> Document:
    """Give a document of an index as LangChain's."""
    return Document(id=document.id, page_content=document.text, metadata=dict(document.metadata))


def of_hit(hit: Hit, *, add_scores: bool = False, add_window: bool = False) -> Document:
    """Give what was found as LangChain's document: the whole one, also where only a window of it was compared.

    Args:
        hit: What was found.
        add_scores: Write the score to `metadata["relevance_score"]`, and those of the channels, by name, to
            `metadata["retrieval_scores"]`.
        add_window: Write text and place of the window that answers best to `metadata["best_window"]`, where the
            document has several.
    """
    metadata = dict(hit.metadata)
    if add_scores:
        metadata[SCORE_KEY] = hit.score
        metadata[CHANNEL_SCORES_KEY] = {name: part.score for name, part in hit.parts.items()}
    if add_window and hit.window is not None:
        place = {"start": hit.window.start, "stop": hit.window.stop}
        metadata[WINDOW_KEY] = {"text": hit.passage, **place}
    return Document(id=hit.id, page_content=hit.text, metadata=metadata)


def _as_many(name: str, items: Sequence[Any] | None, texts: Sequence[str]) -> list[Any] | None:
    if items is None:
        return None
    if isinstance(items, (str, bytes)) or not isinstance(items, Iterable):
        raise InputTypeError(f"{name} must be a list, got {type(items).__name__}")
    listed = list(items)
    if len(listed) != len(texts):
        raise InputError(f"there are {len(texts)} texts and {len(listed)} {name}: give one for each")
    return listed
