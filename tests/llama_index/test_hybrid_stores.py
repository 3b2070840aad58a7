"""LlamaIndex's own Qdrant store in local mode, and its Milvus store where that is installed, over both embeddings."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from llama_index.core import StorageContext, VectorStoreIndex
from llama_index.core.schema import TextNode
from llama_index.core.vector_stores.types import VectorStoreQuery, VectorStoreQueryMode
from llama_index.vector_stores.qdrant import QdrantVectorStore
from qdrant_client import AsyncQdrantClient, QdrantClient

from bge_components import ModelPool, PoolSettings
from bge_components.llama_index import BGEEmbedding, BGEMilvusSparseEmbedding, BGESparseEmbedding
from bge_components.llama_index.milvus import LonelySparseFunction
from bge_components.similarity import lexical_score

pytestmark = pytest.mark.filterwarnings("ignore:Payload indexes have no effect in the local Qdrant")

BOILING = "Water boils at 100 degrees."
TEXTS = [BOILING, "Paris is the capital of France.", "stocks fell on Monday", "water boils at sea level"]


@pytest.fixture
def pool() -> Iterator[ModelPool]:
    with ModelPool(PoolSettings(devices=("cpu",), memo_s=100)) as pool:
        yield pool


@pytest.fixture
def settings(tiny_m3: Path, pool: ModelPool) -> dict[str, Any]:
    return {"model": str(tiny_m3), "dtype": "float32", "pool": pool}


def passes(pool: ModelPool) -> int:
    return sum(device.batches for device in pool.stats().devices)


def qdrant(sparse: BGESparseEmbedding, client: Any = None, aclient: Any = None) -> QdrantVectorStore:
    return QdrantVectorStore(
        "texts",
        client=client,
        aclient=aclient,
        enable_hybrid=True,
        sparse_doc_fn=sparse.sparse_doc_fn,
        sparse_query_fn=sparse.sparse_query_fn,
    )


def index_over(store: Any, settings: dict[str, Any]) -> VectorStoreIndex:
    context = StorageContext.from_defaults(vector_store=store)
    return VectorStoreIndex([], storage_context=context, embed_model=BGEEmbedding(**settings))


def nodes(texts: list[str]) -> list[TextNode]:
    return [TextNode(text=text, metadata={"page": 7}) for text in texts]


def test_an_index_over_qdrant_finds_texts_with_one_pass_for_both(
    settings: dict[str, Any], pool: ModelPool
) -> None:
    index = index_over(qdrant(BGESparseEmbedding(**settings), QdrantClient(":memory:")), settings)
    retriever = index.as_retriever(vector_store_query_mode="hybrid", similarity_top_k=1, sparse_top_k=4)
    index.insert_nodes(nodes(["learn"]))
    retriever.retrieve("learn this")
    before = passes(pool)

    index.insert_nodes(nodes(TEXTS))
    assert passes(pool) == before + 1
    hits = retriever.retrieve(f"page: 7\n\n{TEXTS[2]}!")
    assert passes(pool) == before + 2
    assert hits[0].text == TEXTS[2]


async def test_an_awaited_index_costs_no_more(settings: dict[str, Any], pool: ModelPool) -> None:
    store = qdrant(BGESparseEmbedding(**settings), aclient=AsyncQdrantClient(":memory:"))
    index = index_over(store, settings)
    retriever = index.as_retriever(vector_store_query_mode="hybrid", similarity_top_k=1, sparse_top_k=4)
    await index.ainsert_nodes(nodes(["learn"]))
    await retriever.aretrieve("learn this")
    before = passes(pool)

    await index.ainsert_nodes(nodes(TEXTS))
    assert passes(pool) == before + 1
    hits = await retriever.aretrieve(f"page: 7\n\n{TEXTS[2]}!")
    assert passes(pool) == before + 2
    assert hits[0].text == TEXTS[2]


def test_the_sparse_scores_are_those_of_the_encoder(settings: dict[str, Any]) -> None:
    dense, sparse = BGEEmbedding(**settings), BGESparseEmbedding(**settings)
    store = qdrant(sparse, QdrantClient(":memory:"))
    store.add([TextNode(text=text, embedding=dense.get_text_embedding(text)) for text in TEXTS])
    query = sparse._encoder().encode([BOILING], "query", ("sparse",)).need_sparse()
    documents = sparse._encoder().encode(TEXTS, "document", ("sparse",)).need_sparse()
    wanted = {text: lexical_score(query, 0, documents, place) for place, text in enumerate(TEXTS)}

    found = store.query(
        VectorStoreQuery(query_str=BOILING, mode=VectorStoreQueryMode.SPARSE, similarity_top_k=4)
    )

    got = {node.get_content(): score for node, score in zip(found.nodes or [], found.similarities or [])}
    assert len(got) > 1
    assert got == pytest.approx({text: score for text, score in wanted.items() if score > 0}, rel=1e-5)


async def test_the_shape_for_milvus_gives_exactly_what_the_encoder_gives(settings: dict[str, Any]) -> None:
    function = BGEMilvusSparseEmbedding(**settings, query_instruction="find: ")
    encoder = function._encoder()
    queries = encoder.encode(TEXTS, "query", ("sparse",)).need_sparse().todicts()
    documents = encoder.encode(TEXTS, "document", ("sparse",)).need_sparse().todicts()

    assert queries != documents
    assert function.encode_queries(TEXTS) == await function.async_encode_queries(TEXTS) == queries
    assert function.encode_documents(TEXTS) == await function.async_encode_documents(TEXTS) == documents
    assert isinstance(function, BGESparseEmbedding)
    assert function.class_name() == "BGEMilvusSparseEmbedding"


def test_the_base_for_milvus_is_the_stores_own_where_it_is_installed() -> None:
    for name in ("encode_queries", "encode_documents"):
        assert inspect.iscoroutinefunction(getattr(BGEMilvusSparseEmbedding, f"async_{name}"))
    try:
        from llama_index.vector_stores.milvus.utils import BaseSparseEmbeddingFunction
    except ModuleNotFoundError:
        assert issubclass(BGEMilvusSparseEmbedding, LonelySparseFunction)
    else:
        assert issubclass(BGEMilvusSparseEmbedding, BaseSparseEmbeddingFunction)


@pytest.mark.filterwarnings("default")
def test_an_index_over_milvus_finds_texts_with_one_pass_for_both(
    settings: dict[str, Any], pool: ModelPool, tmp_path: Path
) -> None:
    for needed in ("llama_index.vector_stores.milvus", "milvus_lite"):
        pytest.importorskip(needed, reason=f"{needed} is not installed")
    from llama_index.vector_stores.milvus import MilvusVectorStore

    store = MilvusVectorStore(
        str(tmp_path / "milvus.db"),
        dim=64,
        enable_sparse=True,
        sparse_embedding_function=BGEMilvusSparseEmbedding(**settings),
        use_async_client=False,
    )
    index = index_over(store, settings)
    retriever = index.as_retriever(vector_store_query_mode="hybrid", similarity_top_k=1)
    index.insert_nodes([TextNode(text=BOILING)])
    retriever.retrieve("learn this Paris")
    before = passes(pool)

    index.insert_nodes([TextNode(text=text) for text in TEXTS[1:]])
    assert passes(pool) == before + 1
    assert retriever.retrieve(f"{TEXTS[2]}!")[0].text == TEXTS[2]
    assert passes(pool) == before + 2
