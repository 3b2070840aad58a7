"""The retriever: LlamaIndex's `BaseRetriever` over a hybrid index."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llama_index.core import VectorStoreIndex
from llama_index.core.base.base_retriever import BaseRetriever
from llama_index.core.callbacks import CallbackManager
from llama_index.core.ingestion import run_transformations
from llama_index.core.schema import (
    BaseNode,
    IndexNode,
    NodeWithScore,
    QueryBundle,
    TransformComponent,
)

from ..contracts import DEFAULT_OPTIONS, CallOptions, Float32
from ..errors import InputError, InputTypeError
from ..retrieval import Hit, HybridIndex, Query, QueryPlan
from ..vectors import Encoding
from .events import dispatcher
from .filters import NodeFilters, checked_filters
from .query_modes import query_of
from .stored_nodes import node_of_hit
from .vector_store import BGEVectorStore


class BGEHybridRetriever(BaseRetriever):
    """Finds nodes by dense, sparse and token vectors together, and by rerankers where the plan has some.

    A query is its `query_str`. The dense vector is that of `embedding_strs` (`custom_embedding_strs` where there are
    some; of several, the mean, as LlamaIndex has it), or `embedding` where the bundle brings one. Words (sparse
    vectors, BM25), token vectors and rerankers read `query_str`; where it is empty, the `embedding_strs`, one a line.

    Every call, blocking or awaited, goes to the pool and runs nothing on the event loop. Ids, metadata and
    relationships of nodes are those that were stored; a document that was not stored by LlamaIndex comes as a
    TextNode. Scores are those of the plan's last stage.

    Example:
        ```python
        from llama_index.core.schema import TextNode
        from bge_components.llama_index import BGEHybridRetriever, BGEVectorStore

        retriever = BGEHybridRetriever.from_nodes(
            [TextNode(text="A violin has four strings."), TextNode(text="K2 is a mountain.")],
            BGEVectorStore("mini"),
            similarity_top_k=1,
        )
        assert "violin" in retriever.retrieve("How many strings has a violin?")[0].text
        ```
    """

    def __init__(
        self,
        index: HybridIndex | BGEVectorStore | VectorStoreIndex,
        similarity_top_k: int | None = None,
        filters: NodeFilters = None,
        plan: QueryPlan | None = None,
        *,
        windows: bool = False,
        callback_manager: CallbackManager | None = None,
        object_map: dict[str, Any] | None = None,
        objects: list[IndexNode] | None = None,
        verbose: bool = False,
    ) -> None:
        """Set up; nothing is loaded before the first call.

        Args:
            index: Where to search; of a store or a `VectorStoreIndex`, the index that it holds.
            similarity_top_k: How many nodes to find; None is the plan's.
            filters: Which nodes count: `MetadataFilters`, or a mapping such as `{"lang": "en"}`.
            plan: How to search; None is the index's own.
            windows: Of a long node that was indexed in windows, give the window that was found: a copy of the node
                with its text, and its place where the node is a TextNode.
            callback_manager: Gets LlamaIndex's events.
            object_map: What an `IndexNode` stands for, by its `index_id`.
            objects: The same, as nodes.
            verbose: Print when an `IndexNode` is entered.

        Raises:
            InputTypeError: If `index` is none of these.
            FilterError: If a filter cannot be asked of an index.
        """
        super().__init__(callback_manager, object_map, objects, verbose)
        kept = index.vector_store if isinstance(index, VectorStoreIndex) else index
        self._index = _hybrid_index(kept)
        self._store = kept if isinstance(kept, BGEVectorStore) else None
        self._condition = checked_filters(filters)
        self._plan = plan
        self._windows = windows
        self.similarity_top_k = similarity_top_k

    @classmethod
    def from_nodes(
        cls, nodes: Sequence[BaseNode], store: BGEVectorStore | None = None, **arguments: Any
    ) -> BGEHybridRetriever:
        """Store nodes and give a retriever over the store.

        Args:
            nodes: Any nodes. What an `IndexNode` stands for stays with this retriever, the node goes to the store.
            store: Where; None makes one in memory, of BAAI/bge-m3.
            arguments: Of the constructor.
        """
        store = store or BGEVectorStore()
        store.add([_without_object(node) for node in nodes])
        return cls(store, **_with_objects(nodes, arguments))

    @classmethod
    async def afrom_nodes(
        cls, nodes: Sequence[BaseNode], store: BGEVectorStore | None = None, **arguments: Any
    ) -> BGEHybridRetriever:
        """Store nodes without blocking the event loop; see `from_nodes`."""
        store = store or BGEVectorStore()
        await store.async_add([_without_object(node) for node in nodes])
        return cls(store, **_with_objects(nodes, arguments))

    @classmethod
    def from_documents(
        cls,
        documents: Sequence[BaseNode],
        store: BGEVectorStore | None = None,
        *,
        transformations: Sequence[TransformComponent] = (),
        **arguments: Any,
    ) -> BGEHybridRetriever:
        """Store documents and give a retriever over the store.

        Args:
            documents: LlamaIndex's documents.
            store: Where; None makes one in memory, of BAAI/bge-m3.
            transformations: Node parsers, for example. Without any, a document is a node: a long one is indexed in
                windows and found as a whole.
            arguments: Of the constructor.

        Example:
            ```python
            from llama_index.core import Document
            from llama_index.core.node_parser import SentenceSplitter
            from bge_components.llama_index import BGEHybridRetriever, BGEVectorStore

            retriever = BGEHybridRetriever.from_documents(
                [Document(text="A violin has four strings. They are tuned in perfect fifths.")],
                BGEVectorStore("mini"),
                transformations=[SentenceSplitter(chunk_size=20, chunk_overlap=0)],
            )
            assert retriever.retrieve("How are strings tuned?")[0].node.ref_doc_id
            ```
        """
        nodes = run_transformations(documents, transformations)
        return cls.from_nodes(nodes, store, **arguments)

    @property
    def index(self) -> HybridIndex:
        """Where it searches."""
        return self._index

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        texts, options = _texts_to_embed(query_bundle), self._options()
        encoding = self._index.encoder.encode(texts, "query", options=options) if texts else None
        query = _query(query_bundle, encoding)
        hits = self._index.search(
            query, top_k=self.similarity_top_k, filter=self._condition, plan=self._plan, options=options
        )
        return self._scored(hits)

    @dispatcher.span
    async def _aretrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        texts, options = _texts_to_embed(query_bundle), self._options()
        encoding = await self._index.encoder.aencode(texts, "query", options=options) if texts else None
        query = _query(query_bundle, encoding)
        hits = await self._index.asearch(
            query, top_k=self.similarity_top_k, filter=self._condition, plan=self._plan, options=options
        )
        return self._scored(hits)

    def _scored(self, hits: Sequence[Hit]) -> list[NodeWithScore]:
        return [
            NodeWithScore(node=node_of_hit(hit, window=self._windows), score=float(hit.score)) for hit in hits
        ]

    def _options(self) -> CallOptions:
        return DEFAULT_OPTIONS if self._store is None else self._store.embed_model.call_options()


def _hybrid_index(given: Any) -> HybridIndex:
    if isinstance(given, BGEVectorStore):
        return given.client
    if isinstance(given, HybridIndex):
        return given
    raise InputTypeError(
        "a hybrid retriever searches a HybridIndex, a BGEVectorStore, or a VectorStoreIndex over one; got "
        f"{type(given).__name__}: BGEHybridRetriever.from_nodes(nodes) stores nodes in a hybrid index"
    )


def _texts_to_embed(bundle: QueryBundle) -> list[str]:
    """Give the texts whose mean is the dense vector, where it is not that of the query itself."""
    if bundle.embedding is not None or bundle.embedding_strs == [bundle.query_str]:
        return []
    return bundle.embedding_strs


def _query(bundle: QueryBundle, encoding: Encoding | None) -> Query:
    text = bundle.query_str or "\n".join(bundle.embedding_strs) or None
    if text is None and bundle.embedding is None:
        raise InputError("the query is empty: it has no query_str, no custom_embedding_strs and no embedding")
    vector: Float32 | list[float] | None = bundle.embedding
    if encoding is not None:
        vector = encoding.need_dense().values.mean(axis=0)  # (dim,)
    return query_of(vector, text)


def _without_object(node: BaseNode) -> BaseNode:
    return node.model_copy(update={"obj": None}) if isinstance(node, IndexNode) else node


def _with_objects(nodes: Sequence[BaseNode], arguments: dict[str, Any]) -> dict[str, Any]:
    """Add what the nodes stand for to the constructor's arguments."""
    objects = {
        node.index_id: node.obj for node in nodes if isinstance(node, IndexNode) and node.obj is not None
    }
    if not objects:
        return arguments
    return {**arguments, "object_map": {**objects, **(arguments.get("object_map") or {})}}
