"""The hybrid index as a LangChain vector store."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import Any

from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings

from ..errors import InputError
from ..retrieval import And, Engine, HybridIndex, IndexSettings, QueryPlan
from .documents import of_documents, of_index, of_texts
from .embeddings import BGEEmbeddings
from .index_searches import IndexSearches
from .indexes import aupserted, upserted, with_embedding, with_index


class BGEVectorStore(IndexSearches):
    """Documents found by dense vectors, sparse vectors, words and token vectors together, as any vector store.

    One forward pass gives every vector that a document is kept with. Adding replaces documents of the same id;
    metadata has to be JSON. What is added or deleted is so in every search that starts afterwards. The async methods
    never compute, search or wait on the event loop's thread.

    A document longer than the checkpoint reads is cut into overlapping windows; what comes back is the document.

    Example:
        ```python
        store = BGEVectorStore(model="BAAI/bge-m3", path="my-index")
        store.add_texts(["BGE-M3 gives three outputs."], [{"lang": "en"}], ids=["1"])
        store.similarity_search("What does M3 give?", k=1, filter={"lang": "en"})
        retriever = store.as_retriever(search_type="mmr", search_kwargs={"k": 3})
        ```
    """

    def __init__(
        self,
        embedding: BGEEmbeddings | None = None,
        *,
        index: HybridIndex | None = None,
        path: str | os.PathLike[str] | None = None,
        engine: Engine | None = None,
        settings: IndexSettings | None = None,
        plan: QueryPlan | None = None,
        **model: Any,
    ) -> None:
        """Set up; nothing is loaded or opened before the first use.

        Args:
            embedding: Says which model to use, and how; None takes `model` and the other arguments of
                `BGEEmbeddings`, given right here, else BAAI/bge-m3.
            index: An open index, instead of all that makes one.
            path: Folder that keeps the index (extra "edge"); one process at a time can have it open.
            engine: What keeps the index, instead of a folder; without either it is in memory, gone with the process.
            settings: What a new index keeps; None takes those of the index that is there, or the defaults.
            plan: How it is searched unless a search says otherwise.
            model: Arguments of `BGEEmbeddings`, instead of one.

        Raises:
            InputError: If an argument is unknown, or two contradict each other.
            InputTypeError: If `embedding` is of another class.
            MissingDependencyError: If a path is given and qdrant-edge-py is not installed.

        Example:
            ```python
            store = BGEVectorStore(BGEEmbeddings(model="BAAI/bge-m3"), path="my-index")
            ```
        """
        arguments = with_embedding({**model, "embedding": embedding})
        given = arguments.pop("embedding")
        if arguments:
            raise InputError(f"BGEVectorStore and BGEEmbeddings have no argument {', '.join(arguments)}")
        if index is not None and path is not None:
            raise InputError("index is open already: give a path, or an index")
        self.index, self._embedding = with_index(index, given, path, engine, settings)
        self.plan = plan

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.index!r})"

    def __enter__(self) -> BGEVectorStore:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    @property
    def embeddings(self) -> Embeddings | None:
        """The embeddings of the index's settings; what they have computed of a text, the index need not again."""
        return self._embedding

    @classmethod
    def from_texts(
        cls,
        texts: list[str],
        embedding: Embeddings | None = None,
        metadatas: list[dict[str, Any]] | None = None,
        *,
        ids: list[str] | None = None,
        **kwargs: Any,
    ) -> BGEVectorStore:
        """Make a store and add texts; see `add_texts`.

        Args:
            texts: A list of strings.
            embedding: A `BGEEmbeddings`; None takes the arguments of one from `kwargs`.
            metadatas: One per text, JSON; None for none.
            ids: One per text; None makes random ones.
            kwargs: Arguments of the constructor.

        Example:
            ```python
            store = BGEVectorStore.from_texts(["BGE-M3 gives three outputs."], BGEEmbeddings(model="BAAI/bge-m3"))
            ```
        """
        store = cls(embedding, **kwargs)  # type: ignore[arg-type]
        store.add_texts(texts, metadatas, ids=ids)
        return store

    @classmethod
    async def afrom_texts(
        cls,
        texts: list[str],
        embedding: Embeddings | None = None,
        metadatas: list[dict[str, Any]] | None = None,
        *,
        ids: list[str] | None = None,
        **kwargs: Any,
    ) -> BGEVectorStore:
        """Do `from_texts` without blocking the event loop.

        Example:
            ```python
            store = await BGEVectorStore.afrom_texts(["BGE-M3 gives three outputs."], model="BAAI/bge-m3")
            ```
        """
        store = cls(embedding, **kwargs)  # type: ignore[arg-type]
        await store.aadd_texts(texts, metadatas, ids=ids)
        return store

    @classmethod
    def from_documents(
        cls, documents: list[Document], embedding: Embeddings | None = None, **kwargs: Any
    ) -> BGEVectorStore:
        """Make a store and add documents; `kwargs` are `ids` and arguments of the constructor.

        Example:
            ```python
            store = BGEVectorStore.from_documents([Document("BGE-M3 gives three outputs.")], model="BAAI/bge-m3")
            ```
        """
        ids = kwargs.pop("ids", None)
        store = cls(embedding, **kwargs)  # type: ignore[arg-type]
        store.add_documents(documents, ids=ids)
        return store

    @classmethod
    async def afrom_documents(
        cls, documents: list[Document], embedding: Embeddings | None = None, **kwargs: Any
    ) -> BGEVectorStore:
        """Do `from_documents` without blocking the event loop.

        Example:
            ```python
            store = await BGEVectorStore.afrom_documents([Document("BGE-M3 gives three outputs.")], model="mini")
            ```
        """
        ids = kwargs.pop("ids", None)
        store = cls(embedding, **kwargs)  # type: ignore[arg-type]
        await store.aadd_documents(documents, ids=ids)
        return store

    def add_texts(  # type: ignore[override]
        self,
        texts: Iterable[str],
        metadatas: list[dict[str, Any]] | None = None,
        *,
        ids: Sequence[str | None] | None = None,
    ) -> list[str]:
        """Add texts, replacing those of the same id; of equal ids in one call the last one wins.

        Args:
            texts: Any length; long ones are kept as windows.
            metadatas: One per text, JSON; None for none.
            ids: One per text, any strings; None, for all or for one, makes a random one.

        Returns:
            The ids, in the order of the texts.

        Raises:
            InputError: If there are not as many metadatas or ids as texts, or metadata is no JSON; the message names
                the place.
            IndexStoreError: If the engine fails; everything acknowledged stays.

        Example:
            ```python
            store.add_texts(["BGE-M3 gives three outputs."], [{"lang": "en"}], ids=["1"])
            ```
        """
        return upserted(self.index, self._embedding, of_texts(texts, metadatas, ids))

    async def aadd_texts(  # type: ignore[override]
        self,
        texts: Iterable[str],
        metadatas: list[dict[str, Any]] | None = None,
        *,
        ids: Sequence[str | None] | None = None,
    ) -> list[str]:
        """Do `add_texts` without blocking the event loop.

        Example:
            ```python
            await store.aadd_texts(["BGE-M3 gives three outputs."], ids=["1"])
            ```
        """
        return await aupserted(self.index, self._embedding, of_texts(texts, metadatas, ids))

    def add_documents(  # type: ignore[override]
        self,
        documents: list[Document],
        *,
        ids: Sequence[str | None] | None = None,
        batch_size: int | None = None,
    ) -> list[str]:
        """Add documents, replacing those of the same id; see `add_texts`.

        Args:
            documents: Of any length.
            ids: Instead of the documents' own.
            batch_size: Most texts in a forward pass, which LangChain's `index` names; None leaves it to the pool.

        Example:
            ```python
            store.add_documents([Document("BGE-M3 gives three outputs.", id="1", metadata={"lang": "en"})])
            ```
        """
        return upserted(self.index, self._embedding, of_documents(documents, ids), batch_size)

    async def aadd_documents(  # type: ignore[override]
        self,
        documents: list[Document],
        *,
        ids: Sequence[str | None] | None = None,
        batch_size: int | None = None,
    ) -> list[str]:
        """Do `add_documents` without blocking the event loop.

        Example:
            ```python
            await store.aadd_documents([Document("BGE-M3 gives three outputs.")])
            ```
        """
        return await aupserted(self.index, self._embedding, of_documents(documents, ids), batch_size)

    def get_by_ids(self, ids: Sequence[str], /) -> list[Document]:
        """Give the documents of these ids, in their order, those that are there.

        Example:
            ```python
            [document] = store.get_by_ids(["1"])
            ```
        """
        return [of_index(found) for found in self.index.get(ids) if found is not None]

    async def aget_by_ids(self, ids: Sequence[str], /) -> list[Document]:
        """Do `get_by_ids` without blocking the event loop.

        Example:
            ```python
            [document] = await store.aget_by_ids(["1"])
            ```
        """
        return [of_index(found) for found in await self.index.aget(ids) if found is not None]

    def delete(self, ids: list[str] | None = None, *, filter: Any = None) -> bool:  # type: ignore[override]
        """Delete documents by id, or all that meet a filter; without either, all, as LangChain has it.

        Returns:
            True: they are gone. Ids that were not there are ignored.

        Raises:
            InputError: If both are given.

        Example:
            ```python
            store.delete(["1"])
            store.delete(filter={"lang": "en"})
            ```
        """
        self.index.delete(ids, filter=_all_if_neither(ids, filter))
        return True

    async def adelete(self, ids: list[str] | None = None, *, filter: Any = None) -> bool:  # type: ignore[override]
        """Do `delete` without blocking the event loop.

        Example:
            ```python
            await store.adelete(["1"])
            ```
        """
        await self.index.adelete(ids, filter=_all_if_neither(ids, filter))
        return True

    def close(self) -> None:
        """Close the index; the pool and its models stay. A second call does nothing.

        Example:
            ```python
            store.close()
            ```
        """
        self.index.close()

    async def aclose(self) -> None:
        """Do `close` without blocking the event loop.

        Example:
            ```python
            await store.aclose()
            ```
        """
        await self.index.aclose()


def _all_if_neither(ids: list[str] | None, filter: Any) -> Any:
    return And(()) if ids is None and filter is None else filter
