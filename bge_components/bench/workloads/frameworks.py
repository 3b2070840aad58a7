"""The same checkpoint as the users of LangChain and of LlamaIndex call it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...errors import BGEError
from ...pool import ModelPool

BATCH = 64
LANGCHAIN, LLAMA_INDEX = "LangChain", "LlamaIndex"


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What a framework's class is called with.

    Attributes:
        query: One query, blocking.
        aquery: One query, awaited.
        documents: A batch of documents, blocking; at least `BATCH` of them go to the pool at once.
    """

    query: Callable[[str], object]
    aquery: Callable[[str], Awaitable[object]]
    documents: Callable[[list[str]], Sequence[object]]


def frameworks(folder: Path | str, pool: ModelPool) -> tuple[dict[str, Asked], dict[str, str]]:
    """Give the classes of the frameworks that are installed by the framework's name, and why others are missing."""
    found: dict[str, Asked] = {}
    missing: dict[str, str] = {}
    for name, make in _MAKERS.items():
        try:
            found[name] = make(str(folder), pool)
        except (ImportError, BGEError) as error:
            missing[name] = f"{type(error).__name__}: {error}"
    return found, missing


def _langchain(folder: str, pool: ModelPool) -> Asked:
    from ...langchain import BGEEmbeddings

    embeddings = BGEEmbeddings(model=folder, pool=pool, **_PLAIN)
    return Asked(
        query=embeddings.embed_query,
        aquery=embeddings.aembed_query,
        documents=embeddings.embed_documents,
    )


def _llama_index(folder: str, pool: ModelPool) -> Asked:
    from ...llama_index import BGEEmbedding

    embedding = BGEEmbedding(model_name=folder, pool=pool, embed_batch_size=BATCH, **_PLAIN)
    return Asked(
        query=embedding.get_query_embedding,
        aquery=embedding.aget_query_embedding,
        documents=embedding.get_text_embedding_batch,
    )


_PLAIN: Mapping[str, Any] = {
    "device": "cpu",
    "query_instruction": "",
    "document_instruction": "",
    "on_truncation": "ignore",
}
"""Texts are read as every other system reads them."""
_MAKERS: dict[str, Callable[[str, ModelPool], Asked]] = {
    LANGCHAIN: _langchain,
    LLAMA_INDEX: _llama_index,
}
