"""BGE as the sparse embeddings of `langchain_milvus`: a dictionary of token weights per text."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from .._extras import foreign_base
from ..contracts import Output
from ..vectors import Encoding
from .encoding import EncodingComponent


class LonelySparseEmbedding(ABC):
    """The interface of `BaseSparseEmbedding`, for where langchain_milvus is not installed."""

    @abstractmethod
    def embed_documents(self, texts: list[str]) -> list[dict[int, float]]:
        """Give the token weights of texts that are to be found."""

    @abstractmethod
    def embed_query(self, query: str) -> dict[int, float]:
        """Give the token weights of a text that is looked for."""


if TYPE_CHECKING:
    BaseSparseEmbedding = LonelySparseEmbedding
else:
    BaseSparseEmbedding = foreign_base(
        "langchain_milvus.utils.sparse", "BaseSparseEmbedding", otherwise=LonelySparseEmbedding
    )


class BGEMilvusSparseEmbeddings(EncodingComponent, BaseSparseEmbedding):
    """Sparse vectors of a checkpoint that has them (BAAI/bge-m3), in the shape that `langchain_milvus` wants.

    Where that package is installed, this is one of its `BaseSparseEmbedding`s, which its `Milvus` insists on; it is
    not needed otherwise. For sharing with `BGEEmbeddings` and for the arguments see `BGESparseEmbeddings`.

    Unless told otherwise, `Milvus` has the smallest fifth of the weights dropped (`drop_ratio_build`), in the index
    and in searches; giving both `index_params` and `search_params` keeps them, and Milvus Lite insists on it. Milvus
    stores no empty sparse vector: texts without words are better left out.

    Example:
        ```python
        settings = {"model": "BAAI/bge-m3"}
        store = Milvus(
            [BGEEmbeddings(**settings), BGEMilvusSparseEmbeddings(**settings)],
            vector_field=["dense", "sparse"],
            index_params=[
                {"index_type": "AUTOINDEX", "metric_type": "IP"},
                {"index_type": "SPARSE_INVERTED_INDEX", "metric_type": "IP"},
            ],
            search_params=[{"metric_type": "IP"}, {"metric_type": "IP"}],
            connection_args={"uri": "./milvus.db"},
            auto_id=True,
        )
        ```
    """

    def embed_documents(self, texts: list[str]) -> list[dict[int, float]]:
        """Give the token weights of texts that are to be found.

        Args:
            texts: A list of strings; an empty one gives an empty list.

        Returns:
            One {token id: weight} per text, in their order: ids ascending, weights above 0. A text without words
            has an empty one.

        Raises:
            InputTypeError: If a text is no string.
            MissingOutputError: If the checkpoint has no sparse output.
            TextTooLongError: If a text is too long and `on_truncation="error"`.
            CheckpointError: If the checkpoint cannot be had or run.
            PoolError: If the engine failed; see `bge_components.errors`.
        """
        return self._documents(texts, Output.SPARSE, _token_weights)

    def embed_query(self, query: str) -> dict[int, float]:
        """Give the token weights of a text that is looked for; see `embed_documents`."""
        return self._query(query, Output.SPARSE, _token_weights)

    async def aembed_documents(self, texts: list[str]) -> list[dict[int, float]]:
        """Do `embed_documents` without blocking the event loop."""
        return await self._adocuments(texts, Output.SPARSE, _token_weights)

    async def aembed_query(self, query: str) -> dict[int, float]:
        """Do `embed_query` without blocking the event loop."""
        return await self._aquery(query, Output.SPARSE, _token_weights)


def _token_weights(encoding: Encoding) -> list[dict[int, float]]:
    return encoding.need_sparse().todicts()
