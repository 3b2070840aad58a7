"""BGE as the sparse embeddings of `langchain_qdrant`: weighted token ids per text."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .._extras import foreign_base
from ..contracts import Output
from ..errors import MissingDependencyError
from ..vectors import Encoding
from .encoding import EncodingComponent

if TYPE_CHECKING:
    from langchain_qdrant import SparseEmbeddings, SparseVector
else:
    SparseEmbeddings = foreign_base("langchain_qdrant", "SparseEmbeddings", otherwise=object)
    SparseVector = foreign_base("langchain_qdrant", "SparseVector", otherwise=object)


class BGESparseEmbeddings(EncodingComponent, SparseEmbeddings):
    """Sparse vectors of a checkpoint that has them (BAAI/bge-m3), from the shared pool.

    With `BGEEmbeddings` of the same settings beside it, a hybrid store loads one copy of the weights and soon pays
    one forward pass for both: after the first texts of each role the pool has learnt that dense and sparse go
    together. It takes the same arguments; `normalize` and `dimensions`, which are about dense vectors, change
    nothing here.

    Needs `pip install langchain-qdrant`, which brings the store too.

    Example:
        ```python
        settings = {"model": "BAAI/bge-m3"}
        store = QdrantVectorStore.from_texts(
            texts,
            embedding=BGEEmbeddings(**settings),
            sparse_embedding=BGESparseEmbeddings(**settings),
            retrieval_mode=RetrievalMode.HYBRID,
            location=":memory:",
        )
        store.similarity_search("Where is the Eiffel tower?", k=3)
        ```
    """

    def __init__(self, **arguments: Any) -> None:
        """Check the settings; nothing is loaded.

        Raises:
            InputError: If an argument is unknown or makes no sense.
            MissingDependencyError: If langchain-qdrant is not installed.
        """
        _need_langchain_qdrant()
        super().__init__(**arguments)

    def embed_documents(self, texts: list[str]) -> list[SparseVector]:
        """Give the token weights of texts that are to be found.

        Args:
            texts: A list of strings; an empty one gives an empty list.

        Returns:
            One sparse vector per text, in their order: ascending token ids, and weights above 0. A text without
            words has an empty one.

        Raises:
            InputTypeError: If a text is no string.
            MissingOutputError: If the checkpoint has no sparse output.
            TextTooLongError: If a text is too long and `on_truncation="error"`.
            CheckpointError: If the checkpoint cannot be had or run.
            PoolError: If the engine failed; see `bge_components.errors`.
        """
        return self._documents(texts, Output.SPARSE, _sparse_vectors)

    def embed_query(self, text: str) -> SparseVector:
        """Give the token weights of a text that is looked for; see `embed_documents`."""
        return self._query(text, Output.SPARSE, _sparse_vectors)

    async def aembed_documents(self, texts: list[str]) -> list[SparseVector]:
        """Do `embed_documents` without blocking the event loop."""
        return await self._adocuments(texts, Output.SPARSE, _sparse_vectors)

    async def aembed_query(self, text: str) -> SparseVector:
        """Do `embed_query` without blocking the event loop."""
        return await self._aquery(text, Output.SPARSE, _sparse_vectors)


def _need_langchain_qdrant() -> None:
    try:
        import_module("langchain_qdrant")
    except ModuleNotFoundError as error:
        raise MissingDependencyError(
            "BGESparseEmbeddings gives the vectors of 'langchain_qdrant', which is not installed. "
            "Install it with: pip install langchain-qdrant"
        ) from error


def _sparse_vectors(encoding: Encoding) -> list[SparseVector]:
    rows = encoding.need_sparse().todicts()
    return [SparseVector(indices=list(row), values=list(row.values())) for row in rows]
