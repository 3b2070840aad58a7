"""The embedding that goes with an index: the one that its encoder is, and whether vectors come from it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from llama_index.core.base.embeddings.base import Embedding
from llama_index.core.schema import BaseNode

from ..contracts import Float32, ProgressCallback, Role
from ..encoders import Encoder
from ..errors import InputError, InputTypeError
from ..vectors import normalized
from .embedding import BGEEmbedding
from .vector_cache import VectorCache

_SAME_MODEL = 0.98  # cosine: number formats and batches differ by far less, other models by far more
_SHARED = frozenset(BGEEmbedding.model_fields) - {"pool", "model_name"}


class DeferredEmbedding(BGEEmbedding):
    """Embeds queries as `BGEEmbedding` does, and gives an empty vector for every document.

    LlamaIndex embeds nodes before it hands them to a store. `BGEVectorStore` computes dense, sparse and token vectors
    of a text in one pass and has no use for a dense vector that was computed before: with this one, made by
    `BGEVectorStore.deferred_embedding`, every text is read once. Other stores cannot do without vectors.

    Example:
        ```python
        from llama_index.core import StorageContext, VectorStoreIndex
        from llama_index.core.schema import TextNode
        from bge_components.llama_index import BGEVectorStore

        store = BGEVectorStore("mini")
        index = VectorStoreIndex(
            [TextNode(text="A violin has four strings.")],
            storage_context=StorageContext.from_defaults(vector_store=store),
            embed_model=store.deferred_embedding(),
        )
        assert len(index.as_retriever().retrieve("strings of a violin")) == 1
        ```
    """

    @classmethod
    def class_name(cls) -> str:
        """Name for serialisation."""
        return "DeferredEmbedding"

    def _computed(
        self, texts: list[str], role: Role, progress: ProgressCallback | None = None
    ) -> list[Embedding]:
        return super()._computed(texts, role, progress) if role == "query" else [[] for _ in texts]

    async def _acomputed(
        self, texts: list[str], role: Role, progress: ProgressCallback | None = None
    ) -> list[Embedding]:
        return await super()._acomputed(texts, role, progress) if role == "query" else [[] for _ in texts]

    def _cache(self, role: Role) -> VectorCache | None:
        return super()._cache(role) if role == "query" else None


def checked_embedding(given: Any) -> BGEEmbedding:
    """Give an embedding, also from the name of its checkpoint or from what `to_dict` wrote.

    Raises:
        InputTypeError: If it is none of this package.
    """
    if isinstance(given, str):
        return BGEEmbedding(model_name=given)
    if isinstance(given, Mapping):
        return BGEEmbedding.from_dict(dict(given))
    if not isinstance(given, BGEEmbedding):
        raise InputTypeError(
            "an index keeps dense, sparse and token vectors of one pass and needs a BGEEmbedding or the name of a "
            f"checkpoint, got {type(given).__name__}"
        )
    return given


def embedding_of(encoder: Encoder) -> BGEEmbedding:
    """Give the embedding with the settings of an encoder."""
    source = encoder.source
    parts = (encoder.settings, source, getattr(source, "hub", None))
    given = {name: getattr(part, name) for part in parts for name in _SHARED if hasattr(part, name)}
    if given.get("family") is not None:
        given["family"] = str(given["family"])
    return BGEEmbedding(model_name=source.model, pool=encoder.pool, **given)


def deferred(embedding: BGEEmbedding) -> DeferredEmbedding:
    """Give an embedding of the same settings that leaves documents to their index."""
    fields = {name: getattr(embedding, name) for name in BGEEmbedding.model_fields}
    return DeferredEmbedding(**fields)


def check_same_model(node: BaseNode, own: Float32, model: str) -> None:
    """Check that the vector which a node brings is the model's own.

    Args:
        node: With an embedding.
        own: What the model gives for it, shape (dim,).
        model: Its name.

    Raises:
        InputError: If it is of another length or direction.
    """
    given = np.asarray(node.embedding, dtype=np.float32)
    if given.shape == own.shape and float(normalized(given) @ normalized(own)) >= _SAME_MODEL:
        return
    raise InputError(
        f"the embedding of node {node.node_id!r} ({given.size} dimensions) does not come from {model} "
        f"({own.size} dimensions), whose vectors this store keeps: give LlamaIndex embed_model=store.embed_model"
    )
