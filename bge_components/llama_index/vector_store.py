"""The vector store: a hybrid index where LlamaIndex expects a vector store."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from llama_index.core.bridge.pydantic import ConfigDict, Field, PrivateAttr, ValidationError
from llama_index.core.schema import BaseNode
from llama_index.core.vector_stores.types import (
    BasePydanticVectorStore,
    VectorStoreQuery,
    VectorStoreQueryResult,
)
from pydantic import InstanceOf

from ..contracts import CallOptions
from ..encoders import Encoder
from ..errors import InputError
from ..retrieval import (
    And,
    Document,
    Engine,
    Equals,
    Filter,
    Hit,
    HybridIndex,
    IndexSettings,
    IsDocument,
    QueryPlan,
)
from ..retrieval.documents import checked_ids
from ..retrieval.engines.choice import engine_for
from .embedding import BGEEmbedding
from .filters import NodeFilters, all_of, checked_filters
from .index_embedding import DeferredEmbedding, check_same_model, checked_embedding, deferred, embedding_of
from .query_modes import IndexQuery
from .stored_nodes import SOURCE, checked_nodes_to_store, documents_of, node_of, node_of_hit, text_of


class BGEVectorStore(BasePydanticVectorStore):
    """Keeps nodes with dense, sparse and token vectors of one pass, and finds them in LlamaIndex's query modes.

    "default" searches dense vectors. "sparse" searches what the index keeps of words: sparse vectors, else BM25.
    "hybrid" follows the index's plan: every channel, fused, and late interaction over the best; with `alpha` it
    weighs dense (`alpha`) against sparse (`1 - alpha`) scores, and nothing else. `similarity_top_k`, `sparse_top_k`
    and `hybrid_top_k` say how many nodes come back in these modes; in hybrid mode the first two also ask channels to
    recall at least as many. "mmr" chooses diverse ones by dense vectors: `mmr_threshold` 1 looks at relevance alone,
    0 at diversity alone; `mmr_prefetch_k`, or `mmr_prefetch_factor` (4) times `similarity_top_k`, are chosen from.

    What is indexed is `node.get_content(MetadataMode.EMBED)`, as LlamaIndex embeds it. A node longer than the
    checkpoint reads is indexed in windows and found as a whole. Vectors that nodes bring are not used: the index
    computes all of its own. They are looked at once per call, and refused where another model made them. To spare
    the pass in which LlamaIndex makes them, give it `deferred_embedding()`.

    The settings can be written by `to_dict` and pickled, the index cannot: it comes back from its path. An index in
    memory ends with its store. All blocking and async calls may be used from any thread and event loop.

    Example:
        ```python
        from llama_index.core import StorageContext, VectorStoreIndex
        from llama_index.core.schema import TextNode
        from bge_components.llama_index import BGEEmbedding, BGEVectorStore

        embed_model = BGEEmbedding("mini")
        store = BGEVectorStore(embed_model)
        index = VectorStoreIndex(
            [TextNode(text="A violin has four strings."), TextNode(text="K2 is a mountain.")],
            storage_context=StorageContext.from_defaults(vector_store=store),
            embed_model=embed_model,
        )
        retriever = index.as_retriever(vector_store_query_mode="hybrid", similarity_top_k=1)
        assert "violin" in retriever.retrieve("How many strings has a violin?")[0].text
        ```
    """

    model_config = ConfigDict(extra="forbid", arbitrary_types_allowed=True)

    stores_text: bool = Field(default=True, exclude=True, repr=False)
    is_embedding_query: bool = Field(default=True, exclude=True, repr=False)
    embed_model: BGEEmbedding = Field(description="Whose vectors are kept.")
    path: str | None = Field(default=None, description="Folder that keeps the index; None for memory.")
    settings: IndexSettings | None = Field(default=None, description="What a new index keeps.")
    plan: InstanceOf[QueryPlan] | None = Field(
        default=None,
        exclude=True,
        repr=False,
        description="How hybrid mode searches; None as the index says.",
    )

    _index: HybridIndex = PrivateAttr()

    def __init__(
        self,
        embed_model: BGEEmbedding | Mapping[str, Any] | str = "BAAI/bge-m3",
        path: str | os.PathLike[str] | None = None,
        settings: IndexSettings | Mapping[str, Any] | None = None,
        *,
        plan: QueryPlan | None = None,
        engine: Engine | None = None,
    ) -> None:
        """Set up; nothing is loaded or opened before the first use.

        Args:
            embed_model: Whose vectors are kept, or the name of its checkpoint. Give the same to LlamaIndex.
            path: Folder that keeps the index, with the embedded engine (extra "edge"); None for memory, or where
                `engine` keeps it.
            settings: What a new index keeps; None takes those of the index that is there, or the defaults.
            plan: How hybrid mode searches; None for the default.
            engine: Instead of a path.

        Raises:
            InputError: If an argument is wrong, or both path and engine are given.
            MissingDependencyError: If a path is given and qdrant-edge-py is not installed.
        """
        embedding = checked_embedding(embed_model)
        folder = None if path is None else os.fspath(path)
        fields: dict[str, Any] = {
            "embed_model": embedding,
            "path": folder,
            "settings": settings,
            "plan": plan,
        }
        try:
            super().__init__(**fields)
        except ValidationError as error:
            raise InputError(f"BGEVectorStore: {error}") from error
        kept = engine_for(self.path, engine)
        self._index = HybridIndex(embedding._encoder(), kept, self.settings, plan=plan)

    @classmethod
    def from_index(cls, index: HybridIndex) -> BGEVectorStore:
        """Use an index that is open; both see what the other adds.

        Such a store cannot be pickled, and `to_dict` writes no path: give the constructor one for that.

        Example:
            ```python
            from bge_components.assembly import make_encoder
            from bge_components.llama_index import BGEVectorStore
            from bge_components.retrieval import HybridIndex

            index = HybridIndex(make_encoder("mini"))
            index.add(["A violin has four strings."])
            assert BGEVectorStore.from_index(index).get_nodes()[0].get_content() == "A violin has four strings."
            ```
        """
        store = cls(embedding_of(index.encoder), plan=index.plan, engine=index.engine)
        store._index = index
        return store

    @classmethod
    def class_name(cls) -> str:
        """Name for serialisation."""
        return "BGEVectorStore"

    @property
    def client(self) -> HybridIndex:
        """The index."""
        return self._index

    def deferred_embedding(self) -> DeferredEmbedding:
        """Give an embedding for LlamaIndex's indexes and pipelines that leaves documents to this store."""
        return deferred(self.embed_model)

    def add(self, nodes: Sequence[BaseNode], **kwargs: Any) -> list[str]:
        """Store nodes, replacing those of the same id; unchanged ones are passed over.

        Returns:
            The ids of the nodes, in their order.

        Raises:
            InputError: If the embedding of a node comes from another model, or a node cannot be stored as JSON.
        """
        listed, example = _to_store(nodes, kwargs)
        if example is not None:
            encoding = self._encoder.encode([text_of(example)], options=self._options())
            check_same_model(example, encoding.need_dense()[0], self.embed_model.model_name)
        self._index.upsert(documents_of(listed), self._options())
        return [node.node_id for node in listed]

    async def async_add(self, nodes: Sequence[BaseNode], **kwargs: Any) -> list[str]:
        """Store nodes without blocking the event loop; see `add`."""
        listed, example = _to_store(nodes, kwargs)
        if example is not None:
            encoding = await self._encoder.aencode([text_of(example)], options=self._options())
            check_same_model(example, encoding.need_dense()[0], self.embed_model.model_name)
        await self._index.aupsert(documents_of(listed), self._options())
        return [node.node_id for node in listed]

    def delete(self, ref_doc_id: str, **delete_kwargs: Any) -> None:
        """Delete the nodes that were cut from a document, and the one that is the document."""
        _refuse(delete_kwargs, "delete")
        self._index.delete(filter=Equals(SOURCE, ref_doc_id))

    async def adelete(self, ref_doc_id: str, **delete_kwargs: Any) -> None:
        """Delete without blocking the event loop; see `delete`."""
        _refuse(delete_kwargs, "delete")
        await self._index.adelete(filter=Equals(SOURCE, ref_doc_id))

    def delete_nodes(
        self, node_ids: list[str] | None = None, filters: NodeFilters = None, **delete_kwargs: Any
    ) -> None:
        """Delete nodes of these ids that meet the filters; either may be left out.

        Raises:
            InputError: If both are missing.
        """
        _refuse(delete_kwargs, "delete_nodes")
        self._index.delete(**_doomed(node_ids, filters))

    async def adelete_nodes(
        self, node_ids: list[str] | None = None, filters: NodeFilters = None, **delete_kwargs: Any
    ) -> None:
        """Delete nodes without blocking the event loop; see `delete_nodes`."""
        _refuse(delete_kwargs, "delete_nodes")
        await self._index.adelete(**_doomed(node_ids, filters))

    def get_nodes(self, node_ids: list[str] | None = None, filters: NodeFilters = None) -> list[BaseNode]:
        """Give nodes of these ids, in their order, that meet the filters; all nodes where neither is given."""
        if node_ids is not None and filters is None:
            return _nodes(self._index.get(node_ids))
        found = _nodes(self._index.documents(_condition(node_ids, filters)))
        return found if node_ids is None else _in_order(found, node_ids)

    async def aget_nodes(
        self, node_ids: list[str] | None = None, filters: NodeFilters = None
    ) -> list[BaseNode]:
        """Get nodes without blocking the event loop; see `get_nodes`."""
        if node_ids is not None and filters is None:
            return _nodes(await self._index.aget(node_ids))
        found = _nodes(await self._index.adocuments(_condition(node_ids, filters)))
        return found if node_ids is None else _in_order(found, node_ids)

    def clear(self) -> None:
        """Delete every node."""
        self._index.delete(filter=And(()))

    async def aclear(self) -> None:
        """Delete every node without blocking the event loop."""
        await self._index.adelete(filter=And(()))

    def query(self, query: VectorStoreQuery, **kwargs: Any) -> VectorStoreQueryResult:
        """Find nodes.

        Args:
            query: With `query_embedding` as LlamaIndex gives it, `query_str`, or both. Without a vector the text is
                embedded.
            kwargs: For mode mmr: `mmr_threshold`, `mmr_prefetch_factor`, `mmr_prefetch_k`.

        Returns:
            Nodes, similarities and ids, best first.

        Raises:
            InputError: If the mode is not one of these, or lacks a text or a vector.
            FilterError: If a filter cannot be asked of an index.
            MissingChannelError: If the index does not keep what the mode searches.
        """
        asked = IndexQuery.of(query, self._index.plan, self._index.channels(), kwargs)
        hits = self._index.search(
            asked.query, plan=asked.plan, filter=asked.condition, options=self._options()
        )
        return _result(hits)

    async def aquery(self, query: VectorStoreQuery, **kwargs: Any) -> VectorStoreQueryResult:
        """Find nodes without blocking the event loop; see `query`."""
        asked = IndexQuery.of(query, self._index.plan, await self._index.achannels(), kwargs)
        hits = await self._index.asearch(
            asked.query, plan=asked.plan, filter=asked.condition, options=self._options()
        )
        return _result(hits)

    def persist(self, persist_path: str, fs: Any = None) -> None:
        """Write everything to the disk, in the index's own path; an index in memory is kept nowhere."""
        self._index.flush()

    def close(self) -> None:
        """Let go of the index, so that another process can open its path. A second call does nothing."""
        self._index.close()

    async def aclose(self) -> None:
        """Close without blocking the event loop; see `close`."""
        await self._index.aclose()

    def __getstate__(self) -> dict[str, Any]:
        """Give settings only; the index is opened again from its path.

        Raises:
            InputError: If there is no path.
        """
        if self.path is None:
            raise InputError(
                "only a store with a path can be pickled: this index is in memory or belongs to an engine of this "
                "process. Give path=... when the store is made"
            )
        return {"__dict__": {"embed_model": self.embed_model, "path": self.path, "settings": self.settings}}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state["__dict__"])  # type: ignore[misc]

    @property
    def _encoder(self) -> Encoder:
        return self._index.encoder

    def _options(self) -> CallOptions:
        return self.embed_model.call_options()


def _to_store(nodes: Any, arguments: Mapping[str, Any]) -> tuple[list[BaseNode], BaseNode | None]:
    """Give nodes as a list, and the shortest of those that bring a vector."""
    _refuse(arguments, "add")
    listed = checked_nodes_to_store(nodes)
    embedded = [node for node in listed if node.embedding]
    return listed, min(embedded, key=lambda node: len(node.get_content()), default=None)


def _refuse(arguments: Mapping[str, Any], method: str) -> None:
    if arguments:
        raise InputError(f"{method}() takes no argument {', '.join(map(repr, sorted(arguments)))}")


def _condition(node_ids: list[str] | None, filters: NodeFilters) -> Filter | None:
    ids = None if node_ids is None else IsDocument(tuple(checked_ids(node_ids)))
    return all_of(ids, checked_filters(filters))


def _doomed(node_ids: list[str] | None, filters: NodeFilters) -> dict[str, Any]:
    """Say which documents to delete, as the index wants to hear it."""
    if filters is None and node_ids is not None:
        return {"ids": node_ids}
    condition = _condition(node_ids, filters)
    if condition is None:
        raise InputError("delete_nodes() wants node_ids or filters; clear() deletes every node")
    return {"filter": condition}


def _nodes(documents: Iterable[Document | None]) -> list[BaseNode]:
    return [node_of(str(one.id), one.text, dict(one.metadata)) for one in documents if one is not None]


def _in_order(nodes: Sequence[BaseNode], ids: Sequence[str]) -> list[BaseNode]:
    by_id = {node.node_id: node for node in nodes}
    return [by_id[one] for one in ids if one in by_id]


def _result(hits: Sequence[Hit]) -> VectorStoreQueryResult:
    return VectorStoreQueryResult(
        nodes=[node_of_hit(hit) for hit in hits],
        similarities=[hit.score for hit in hits],
        ids=[hit.id for hit in hits],
    )
