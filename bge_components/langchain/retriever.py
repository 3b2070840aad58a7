"""The hybrid index as a LangChain retriever."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated, Any

from langchain_core.callbacks import AsyncCallbackManagerForRetrieverRun, CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.load.serializable import SerializedConstructor, SerializedNotImplemented
from langchain_core.retrievers import BaseRetriever, LangSmithRetrieverParams
from langchain_core.vectorstores import VectorStore
from pydantic import ConfigDict, Field, InstanceOf, StrictInt, ValidationError

from ..retrieval import Engine, Hit, HybridIndex, IndexSettings, QueryPlan
from .component import NameOrPath, refusal
from .documents import of_documents, of_hit, of_texts
from .embeddings import BGEEmbeddings
from .indexes import aupserted, call_options, upserted, with_embedding, with_index
from .rescoring import BGERescoringRetriever
from .search_run import RUN_NAME, asked, found
from .tracing import atraced, traced


class BGEHybridRetriever(BaseRetriever):
    """Finds documents by dense vectors, sparse vectors, words and token vectors together.

    One forward pass gives the query's vectors; the index recalls by each, fuses, and lets token vectors and the
    rerankers of a plan order the best again. A document longer than the checkpoint reads is found by its best window,
    and comes back as a whole.

    The search is a run of its own in the trace, named "HybridIndex", under the retriever's: it says of every document
    which channel found it with which score, and the scores before and after the rerankers.

    Over a folder it is settings: it can be compared, pickled and written with LangChain's `dumps`, and opens the
    folder where it is read. What it finds is in its `index`, which it shares with its copies in this process. A
    `plan` is pickled, but `dumps` only notes it, and `loads` then refuses.

    Example:
        ```python
        retriever = BGEHybridRetriever.from_texts(["BGE-M3 gives three outputs."], model="BAAI/bge-m3", k=3)
        retriever.invoke("What does M3 give?")
        retriever.invoke("What does M3 give?", k=1, filter={"lang": "en"})
        ```
    """

    model_config = ConfigDict(
        extra="forbid",
        arbitrary_types_allowed=True,
        validate_assignment=True,
        hide_input_in_errors=True,
        use_attribute_docstrings=True,
    )

    embedding: BGEEmbeddings | None = None
    """Which model to use, and how. `model` and the other arguments of `BGEEmbeddings` may be given instead."""
    path: NameOrPath | None = None
    """Folder that keeps the index (extra "edge"); None for an index in memory. With `index`: where that one lies, for
    copies in other processes."""
    k: Annotated[StrictInt, Field(ge=0)] | None = None
    """How many documents, at most; None is the plan's `top_k`."""
    filter: Any = None
    """Which documents count: `{"lang": "en", "year": {"$gte": 2020}}`, or a filter of `bge_components.retrieval`."""
    plan: InstanceOf[QueryPlan] | None = None
    """How to search; None is as the index says."""
    add_scores: bool = False
    """Write the score to `metadata["relevance_score"]`, and those of the channels to `metadata["retrieval_scores"]`.
    Off, because some chains put all metadata into the prompt."""
    add_window: bool = False
    """Write text, start and stop of the window that answers best to `metadata["best_window"]`, where a document has
    several."""
    index: HybridIndex = Field(default=None, exclude=True)  # type: ignore[assignment]
    """What is searched; None makes one from `embedding` and `path`."""

    def __init__(
        self, *, engine: Engine | None = None, settings: IndexSettings | None = None, **arguments: Any
    ) -> None:
        """Check the settings; nothing is loaded or opened.

        Args:
            engine: What keeps a new index, instead of a folder.
            settings: What a new index keeps.
            arguments: The fields, or those of `BGEEmbeddings`.

        Raises:
            InputError: If an argument is unknown, makes no sense or contradicts another.
            MissingDependencyError: If a path is given and qdrant-edge-py is not installed.

        Example:
            ```python
            retriever = BGEHybridRetriever(model="BAAI/bge-m3", path="my-index", k=5)
            ```
        """
        try:
            super().__init__(**with_embedding(arguments))
        except ValidationError as error:
            raise refusal(type(self), error) from error
        self.index, self.embedding = with_index(self.index, self.embedding, self.path, engine, settings)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, BGEHybridRetriever):
            return NotImplemented
        same_index = self.index is other.index or (self.path is not None and self.path == other.path)
        return same_index and self.model_dump() == other.model_dump()

    def __getstate__(self) -> dict[Any, Any]:
        state = super().__getstate__()
        return state if self.path is None else {**state, "__dict__": {**state["__dict__"], "index": None}}

    def __setstate__(self, state: dict[Any, Any]) -> None:
        super().__setstate__(state)
        if self.path is not None:
            self.index, _ = with_index(None, self.embedding, self.path)

    @classmethod
    def from_texts(
        cls,
        texts: Iterable[str],
        embedding: BGEEmbeddings | None = None,
        metadatas: Sequence[dict[str, Any]] | None = None,
        *,
        ids: Sequence[str | None] | None = None,
        **arguments: Any,
    ) -> BGEHybridRetriever:
        """Put texts into an index and give its retriever; texts of the same id are replaced.

        Args:
            texts: A list of strings.
            embedding: Which model to use; None takes its arguments from `arguments`.
            metadatas: One per text, JSON; None for none.
            ids: One per text, any strings; None makes random ones.
            arguments: Of the constructor.

        Raises:
            InputError: If an argument or a document makes no sense; the message names the place.
            IndexStoreError: If the engine fails.

        Example:
            ```python
            retriever = BGEHybridRetriever.from_texts(["BGE-M3 gives three outputs."], model="BAAI/bge-m3")
            ```
        """
        retriever = cls(embedding=embedding, **arguments)
        upserted(retriever.index, retriever.embedding, of_texts(texts, metadatas, ids))
        return retriever

    @classmethod
    async def afrom_texts(
        cls,
        texts: Iterable[str],
        embedding: BGEEmbeddings | None = None,
        metadatas: Sequence[dict[str, Any]] | None = None,
        *,
        ids: Sequence[str | None] | None = None,
        **arguments: Any,
    ) -> BGEHybridRetriever:
        """Do `from_texts` without blocking the event loop.

        Example:
            ```python
            retriever = await BGEHybridRetriever.afrom_texts(["BGE-M3 gives three outputs."], model="BAAI/bge-m3")
            ```
        """
        retriever = cls(embedding=embedding, **arguments)
        await aupserted(retriever.index, retriever.embedding, of_texts(texts, metadatas, ids))
        return retriever

    @classmethod
    def from_documents(
        cls,
        documents: Iterable[Document],
        embedding: BGEEmbeddings | None = None,
        *,
        ids: Sequence[str | None] | None = None,
        **arguments: Any,
    ) -> BGEHybridRetriever:
        """Put documents into an index and give its retriever; `ids` go before the documents' own; see `from_texts`.

        Example:
            ```python
            documents = [Document("BGE-M3 gives three outputs.", id="1", metadata={"lang": "en"})]
            retriever = BGEHybridRetriever.from_documents(documents, model="BAAI/bge-m3", filter={"lang": "en"})
            ```
        """
        retriever = cls(embedding=embedding, **arguments)
        upserted(retriever.index, retriever.embedding, of_documents(documents, ids))
        return retriever

    @classmethod
    async def afrom_documents(
        cls,
        documents: Iterable[Document],
        embedding: BGEEmbeddings | None = None,
        *,
        ids: Sequence[str | None] | None = None,
        **arguments: Any,
    ) -> BGEHybridRetriever:
        """Do `from_documents` without blocking the event loop.

        Example:
            ```python
            documents = [Document("BGE-M3 gives three outputs.")]
            retriever = await BGEHybridRetriever.afrom_documents(documents, model="BAAI/bge-m3")
            ```
        """
        retriever = cls(embedding=embedding, **arguments)
        await aupserted(retriever.index, retriever.embedding, of_documents(documents, ids))
        return retriever

    @classmethod
    def from_vector_store(cls, vector_store: VectorStore, **arguments: Any) -> BGERescoringRetriever:
        """Give a retriever that recalls from any vector store and orders what it found; nothing is indexed again.

        Args:
            vector_store: Of whatever make.
            arguments: Of `BGERescoringRetriever`: `k`, `fetch_k`, `filter`, and which model orders.

        Example:
            ```python
            retriever = BGEHybridRetriever.from_vector_store(store, model="BAAI/bge-m3", k=3, fetch_k=50)
            ```
        """
        return BGERescoringRetriever(vector_store=vector_store, **arguments)

    @classmethod
    def is_lc_serializable(cls) -> bool:
        """Say that `langchain_core.load.dumps` may write it."""
        return True

    def to_json(self) -> SerializedConstructor | SerializedNotImplemented:
        """Give its settings; an index in memory is none, and LangChain then notes that this cannot be read again."""
        return self.to_json_not_implemented() if self.path is None else super().to_json()

    def _get_ls_params(self, **kwargs: Any) -> LangSmithRetrieverParams:
        params = super()._get_ls_params(**kwargs)
        params["ls_vector_store_provider"] = self.index.engine.capabilities.name
        params["ls_embedding_provider"] = BGEEmbeddings.__name__
        params["ls_embedding_model"] = self.index.encoder.name
        return params

    def _get_relevant_documents(
        self,
        query: str,
        *,
        run_manager: CallbackManagerForRetrieverRun,
        k: int | None = None,
        filter: Any = None,
        plan: QueryPlan | None = None,
    ) -> list[Document]:
        """Search; `k`, `filter` and `plan` are for this call instead of the retriever's own."""
        request = self._request(k, filter, plan)
        with traced(RUN_NAME, asked(query, request), run_manager.get_child("search")) as run:
            hits = self.index.search(query, **request)
            run.on_chain_end(found(hits))
        return self._documents(hits)

    async def _aget_relevant_documents(
        self,
        query: str,
        *,
        run_manager: AsyncCallbackManagerForRetrieverRun,
        k: int | None = None,
        filter: Any = None,
        plan: QueryPlan | None = None,
    ) -> list[Document]:
        request = self._request(k, filter, plan)
        async with atraced(RUN_NAME, asked(query, request), run_manager.get_child("search")) as run:
            hits = await self.index.asearch(query, **request)
            await run.on_chain_end(found(hits))
        return self._documents(hits)

    def _request(self, k: int | None, filter: Any, plan: QueryPlan | None) -> dict[str, Any]:
        return {
            "top_k": self.k if k is None else k,
            "filter": self.filter if filter is None else filter,
            "plan": plan or self.plan,
            "options": call_options(self.embedding),
        }

    def _documents(self, hits: Sequence[Hit]) -> list[Document]:
        return [of_hit(hit, add_scores=self.add_scores, add_window=self.add_window) for hit in hits]
