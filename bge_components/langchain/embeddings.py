"""BGE as LangChain embeddings: one dense vector per text."""

from __future__ import annotations

from typing import Any

from langchain_core.embeddings import Embeddings

from ..contracts import Output
from ..vectors import Encoding
from .encoding import EncodingComponent
from .migration import migrated_embeddings


class BGEEmbeddings(EncodingComponent, Embeddings):
    """Dense vectors of a BGE checkpoint (or any other that the catalogue knows), from the shared pool.

    Queries get the instruction that the checkpoint was trained with, and no text is changed otherwise. Texts that
    arrive together, from any thread or event loop, are computed together.

    The arguments of `HuggingFaceBgeEmbeddings` and `HuggingFaceEmbeddings` are accepted too and translated; a
    `MigrationWarning` then says what changes.

    Example:
        ```python
        embeddings = BGEEmbeddings(model="BAAI/bge-m3")
        store = InMemoryVectorStore.from_texts(texts, embedding=embeddings)
        ```
    """

    def __init__(self, **arguments: Any) -> None:
        """Check the settings; nothing is loaded.

        Raises:
            InputError: If an argument is unknown or makes no sense.
        """
        super().__init__(**migrated_embeddings(arguments))

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Embed texts that are to be found.

        Args:
            texts: A list of strings; an empty one gives an empty list.

        Returns:
            One vector per text, in their order.

        Raises:
            InputTypeError: If a text is no string.
            TextTooLongError: If a text is too long and `on_truncation="error"`.
            CheckpointError: If the checkpoint cannot be had or run.
            PoolError: If the engine failed; see `bge_components.errors`.
        """
        return self._documents(texts, Output.DENSE, _vectors)

    def embed_query(self, text: str) -> list[float]:
        """Embed a text that is looked for; see `embed_documents`."""
        return self._query(text, Output.DENSE, _vectors)

    async def aembed_documents(self, texts: list[str]) -> list[list[float]]:
        """Embed texts that are to be found, without blocking the event loop; see `embed_documents`."""
        return await self._adocuments(texts, Output.DENSE, _vectors)

    async def aembed_query(self, text: str) -> list[float]:
        """Embed a text that is looked for, without blocking the event loop; see `embed_documents`."""
        return await self._aquery(text, Output.DENSE, _vectors)


def _vectors(encoding: Encoding) -> list[list[float]]:
    return encoding.need_dense().tolist()
