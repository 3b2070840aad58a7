"""A LangChain retriever over any vector store: its recall, ordered by late interaction or a cross-encoder."""

from __future__ import annotations

from typing import Annotated, Any

from langchain_core.callbacks import AsyncCallbackManagerForRetrieverRun, CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever, LangSmithRetrieverParams
from langchain_core.vectorstores import VectorStore, VectorStoreRetriever
from pydantic import ConfigDict, Field, StrictInt, ValidationError

from ..errors import InputError
from .component import Component, Count, refusal
from .embeddings import BGEEmbeddings
from .reranker import BGEReranker

DEFAULT_MODEL = "BAAI/bge-m3"
_RERANKER = (frozenset(BGEReranker.model_fields) | {"model_name"}) - {"top_n"}


class BGERescoringRetriever(BaseRetriever):
    """Recalls from a vector store that is there already, and lets a model order what was found.

    Nothing is indexed again. Without a model, that of the store's `BGEEmbeddings` orders by its token vectors, with
    no second model in memory; where the store has other embeddings it is BAAI/bge-m3. A cross-encoder such as
    BAAI/bge-reranker-v2-m3 scores pairs. The store's search and the reranking are runs of their own in the trace,
    under the retriever's.

    Example:
        ```python
        store = InMemoryVectorStore.from_texts(texts, BGEEmbeddings(model="BAAI/bge-m3"))
        retriever = BGERescoringRetriever(vector_store=store, model="BAAI/bge-m3", k=3, fetch_k=50)
        retriever.invoke("What does M3 give?", k=1)
        ```
    """

    model_config = ConfigDict(
        extra="forbid",
        arbitrary_types_allowed=True,
        validate_assignment=True,
        hide_input_in_errors=True,
        use_attribute_docstrings=True,
    )

    vector_store: VectorStore
    """Where documents are recalled from."""
    reranker: BGEReranker = Field(default_factory=lambda: BGEReranker(model=DEFAULT_MODEL))
    """What orders them; its `top_n` counts for nothing here. Its arguments (`model`, `add_scores`, `score_threshold`,
    ...) may be given instead."""
    k: Annotated[StrictInt, Field(ge=0)] = 4
    """How many documents, at most."""
    fetch_k: Count = 50
    """How many the store recalls, at least `k`."""
    filter: Any = None
    """Which documents count, as the store's `similarity_search` wants it; None asks for none."""
    search_kwargs: dict[str, Any] = Field(default_factory=dict)
    """What else the store's `similarity_search` is to be given."""

    def __init__(self, **arguments: Any) -> None:
        """Check the settings; nothing is loaded.

        Args:
            arguments: The fields, or those of `BGEReranker`.

        Raises:
            InputError: If an argument is unknown, makes no sense or contradicts another.

        Example:
            ```python
            retriever = BGERescoringRetriever(vector_store=store, model="BAAI/bge-reranker-v2-m3", add_scores=True)
            ```
        """
        try:
            super().__init__(**_with_reranker(arguments))
        except ValidationError as error:
            raise refusal(type(self), error) from error

    def _get_ls_params(self, **kwargs: Any) -> LangSmithRetrieverParams:
        params = super()._get_ls_params(**kwargs)
        params["ls_vector_store_provider"] = type(self.vector_store).__name__
        if self.vector_store.embeddings is not None:
            params["ls_embedding_provider"] = type(self.vector_store.embeddings).__name__
        return params

    def _get_relevant_documents(
        self,
        query: str,
        *,
        run_manager: CallbackManagerForRetrieverRun,
        k: int | None = None,
        filter: Any = None,
    ) -> list[Document]:
        """Recall and rerank; `k` and `filter` are for this call instead of the retriever's own."""
        k = self._checked(k)
        recalled = self._recall(k, filter).invoke(query, {"callbacks": run_manager.get_child("recall")})
        callbacks = run_manager.get_child("rerank")
        return list(self._reranker(k).compress_documents(recalled, query, callbacks))

    async def _aget_relevant_documents(
        self,
        query: str,
        *,
        run_manager: AsyncCallbackManagerForRetrieverRun,
        k: int | None = None,
        filter: Any = None,
    ) -> list[Document]:
        k = self._checked(k)
        recall = self._recall(k, filter)
        recalled = await recall.ainvoke(query, {"callbacks": run_manager.get_child("recall")})
        callbacks = run_manager.get_child("rerank")
        return list(await self._reranker(k).acompress_documents(recalled, query, callbacks))

    def _checked(self, k: int | None) -> int:
        if k is None:
            return self.k
        if isinstance(k, bool) or not isinstance(k, int) or k < 0:
            raise InputError(f"k must be an integer of 0 or more, got {k!r}")
        return k

    def _recall(self, k: int, filter: Any) -> VectorStoreRetriever:
        chosen = self.filter if filter is None else filter
        filtered = {} if chosen is None else {"filter": chosen}
        search_kwargs = {**self.search_kwargs, **filtered, "k": max(self.fetch_k, k)}
        return self.vector_store.as_retriever(search_kwargs=search_kwargs)

    def _reranker(self, k: int) -> BGEReranker:
        return self.reranker.model_copy(update={"top_n": k})


def _with_reranker(arguments: dict[str, Any]) -> dict[str, Any]:
    """Give arguments with those of a reranker gathered under "reranker"; without a model, that of the store."""
    settings = {name: value for name, value in arguments.items() if name in _RERANKER}
    others = {name: value for name, value in arguments.items() if name not in _RERANKER}
    if "reranker" in others:
        if settings:
            raise InputError(f"reranker says which model orders, and how: leave out {', '.join(settings)}")
        return others
    if "model" not in settings and "model_name" not in settings:
        settings = {**_model_of(others.get("vector_store")), **settings}
    return {**others, "reranker": BGEReranker(**settings)}


def _model_of(store: Any) -> dict[str, Any]:
    """Give the model of a store's BGE embeddings, and how it is run: one copy of the weights serves both."""
    embeddings = store.embeddings if isinstance(store, VectorStore) else None
    if not isinstance(embeddings, BGEEmbeddings):
        return {"model": DEFAULT_MODEL}
    return {name: getattr(embeddings, name) for name in Component.model_fields}
