"""The index behind a store or a retriever: given open, or made from an embedding's settings and a folder."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import Any

from ..backends import CheckpointSource
from ..contracts import DEFAULT_OPTIONS, CallOptions, ProgressCallback
from ..encoders import Encoder
from ..errors import InputError, InputTypeError
from ..pool import progress_bar
from ..retrieval import Document, Engine, HybridIndex, IndexSettings
from ..retrieval.engines.choice import engine_for
from .embeddings import BGEEmbeddings

_MODEL = frozenset({*BGEEmbeddings.model_fields, "model_name"})


def with_embedding(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Give arguments with those that say which model to use, and how, gathered under "embedding".

    Raises:
        InputError: If the arguments hold an embedding besides.
        InputTypeError: If the embedding is not one of this package.
    """
    model = {name: value for name, value in arguments.items() if name in _MODEL}
    others = {name: value for name, value in arguments.items() if name not in _MODEL}
    embedding = others.get("embedding")
    if embedding is not None and not isinstance(embedding, BGEEmbeddings):
        raise InputTypeError(
            "an index keeps dense, sparse and token vectors of one pass and needs "
            f"embedding=BGEEmbeddings(model=...), got {type(embedding).__name__}. To keep another model's vectors, "
            "use a store of LangChain's, and BGEHybridRetriever.from_vector_store(store) to order what it finds"
        )
    if not model:
        return others
    if embedding is not None:
        raise InputError(f"embedding says which model to use, and how: leave out {', '.join(model)}")
    return {**others, "embedding": BGEEmbeddings(**model)}


def made_index(
    embedding: BGEEmbeddings,
    path: str | os.PathLike[str] | None = None,
    engine: Engine | None = None,
    settings: IndexSettings | None = None,
) -> HybridIndex:
    """Make an index that loads and opens nothing before its first use.

    Args:
        embedding: Whose settings its encoder has.
        path: Folder that keeps it, with the embedded engine (extra "edge").
        engine: What keeps it, instead of a folder; without either it is in memory.
        settings: What a new index keeps.

    Raises:
        InputError: If both path and engine are given.
        MissingDependencyError: If a path is given and qdrant-edge-py is not installed.
    """
    return HybridIndex(embedding._encoder(), engine_for(path, engine), settings)


def with_index(
    index: HybridIndex | None,
    embedding: BGEEmbeddings | None,
    path: str | os.PathLike[str] | None = None,
    engine: Engine | None = None,
    settings: IndexSettings | None = None,
) -> tuple[HybridIndex, BGEEmbeddings | None]:
    """Give the index that was handed over, or make one, and the embedding that goes with it.

    Returns:
        No embedding where the encoder of an index that was handed over reads no checkpoint: no component is like it.

    Raises:
        InputError: If arguments contradict each other.
    """
    if index is None:
        embedding = embedding or BGEEmbeddings()
        return made_index(embedding, path, engine, settings), embedding
    if engine is not None or settings is not None:
        raise InputError("engine and settings are for a new index: leave them out where index is given")
    if embedding is None:
        return index, _embedding_of(index.encoder)
    if embedding._encoder() != index.encoder:
        raise InputError(
            f"the index has {index.encoder!r}, and embedding stands for {embedding._encoder()!r}: leave embedding "
            "(or model and the like) out, the index knows its own"
        )
    return index, embedding


def upserted(
    index: HybridIndex,
    embedding: BGEEmbeddings | None,
    documents: Sequence[Document],
    batch_size: int | None = None,
) -> list[str]:
    """Put documents into an index, with the timeout and the progress bar of the embedding; give their ids."""
    with progress_bar("Indexing", show=_shows(embedding)) as progress:
        index.upsert(documents, _bulk_options(embedding, progress, batch_size))
    return [document.id or "" for document in documents]


async def aupserted(
    index: HybridIndex,
    embedding: BGEEmbeddings | None,
    documents: Sequence[Document],
    batch_size: int | None = None,
) -> list[str]:
    """Do `upserted` without blocking the event loop."""
    with progress_bar("Indexing", show=_shows(embedding)) as progress:
        await index.aupsert(documents, _bulk_options(embedding, progress, batch_size))
    return [document.id or "" for document in documents]


def call_options(embedding: BGEEmbeddings | None) -> CallOptions:
    """Give what the embedding's settings ask of one call: its timeout, its batches."""
    return DEFAULT_OPTIONS if embedding is None else embedding._call_options()


def _shows(embedding: BGEEmbeddings | None) -> bool:
    return embedding is not None and embedding.show_progress


def _bulk_options(
    embedding: BGEEmbeddings | None, progress: ProgressCallback | None, batch_size: int | None
) -> CallOptions:
    options = call_options(embedding)
    return replace(options, progress=progress, deadline=None, batch_size=batch_size or options.batch_size)


def _embedding_of(encoder: Encoder) -> BGEEmbeddings | None:
    source = encoder.source
    if not isinstance(source, CheckpointSource):
        return None
    arguments = {**vars(encoder.settings), **vars(source.hub)}
    arguments |= {one.name: getattr(source, one.name) for one in fields(source) if one.name != "hub"}
    return BGEEmbeddings(**arguments, pool=encoder.pool)
