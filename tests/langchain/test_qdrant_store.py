"""The real `langchain_qdrant` in local mode: two constructors make its hybrid store BGE-M3's."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from langchain_qdrant import QdrantVectorStore, RetrievalMode

from bge_components import ModelPool, PoolSettings
from bge_components.errors import MissingOutputError
from bge_components.langchain import BGEEmbeddings, BGESparseEmbeddings
from bge_components.similarity import lexical_score

BOILING = "Water boils at 100 degrees."
TEXTS = [
    "What is the boiling point of water?",
    "Paris is the capital of France.",
    BOILING,
    "water boils at sea level",
    "the first and the second and the third",
    "stocks fell on Monday",
]


@pytest.fixture
def pool() -> Iterator[ModelPool]:
    with ModelPool(PoolSettings(devices=("cpu",), memo_s=100)) as pool:
        yield pool


@pytest.fixture
def settings(tiny_m3: Path, pool: ModelPool) -> dict[str, Any]:
    return {"model": tiny_m3, "dtype": "float32", "pool": pool}


def hybrid(settings: dict[str, Any], texts: list[str], **more: Any) -> QdrantVectorStore:
    return QdrantVectorStore.from_texts(
        texts,
        embedding=BGEEmbeddings(**settings),
        sparse_embedding=BGESparseEmbeddings(**settings),
        retrieval_mode=more.pop("retrieval_mode", RetrievalMode.HYBRID),
        location=":memory:",
        **more,
    )


def passes(pool: ModelPool) -> int:
    return sum(device.batches for device in pool.stats().devices)


def found(hits: list[Any]) -> list[str]:
    return [hit.page_content for hit in hits]


def test_a_hybrid_store_finds_every_text_by_itself(settings: dict[str, Any]) -> None:
    store = hybrid(settings, TEXTS)

    for text in TEXTS:
        assert store.similarity_search(text, k=1)[0].page_content == text


def test_the_sparse_order_and_scores_are_those_of_the_encoder(settings: dict[str, Any]) -> None:
    store = hybrid(settings, TEXTS, retrieval_mode=RetrievalMode.SPARSE)
    encoder = BGESparseEmbeddings(**settings)._encoder()
    query = encoder.encode([BOILING], role="query", outputs=("sparse",)).need_sparse()
    documents = encoder.encode(TEXTS, outputs=("sparse",)).need_sparse()
    wanted = {text: lexical_score(query, 0, documents, place) for place, text in enumerate(TEXTS)}

    hits = store.similarity_search_with_score(BOILING, k=len(TEXTS))

    assert {hit.page_content for hit, _ in hits} == {text for text in TEXTS if wanted[text] > 0}
    assert 1 < len(hits) < len(TEXTS)
    assert [score for _, score in hits] == sorted((score for _, score in hits), reverse=True)
    for hit, score in hits:
        assert score == pytest.approx(wanted[hit.page_content], rel=1e-5)


def test_documents_and_queries_cost_one_pass_once_the_pool_has_learnt(
    settings: dict[str, Any], pool: ModelPool
) -> None:
    store = hybrid(settings, TEXTS[:1])
    store.similarity_search("learn")
    before = passes(pool)

    store.add_texts(TEXTS[1:])
    assert passes(pool) == before + 1
    assert found(store.similarity_search("Paris and Monday", k=5)) != []
    assert passes(pool) == before + 2
    store.add_texts([f"text number {number}" for number in range(30)], batch_size=10)
    assert passes(pool) == before + 5
    assert pool.stats().loads == 1


async def test_the_stores_async_methods_cost_no_more(settings: dict[str, Any], pool: ModelPool) -> None:
    store = hybrid(settings, TEXTS[:1])
    await store.asimilarity_search("learn")
    before = passes(pool)

    await store.aadd_texts(TEXTS[1:])
    assert passes(pool) == before + 1
    hits = await store.asimilarity_search("What is the capital of France?", k=2)
    assert passes(pool) == before + 2
    assert found(hits) == found(store.similarity_search("What is the capital of France?", k=2))


def test_texts_without_words_are_stored_and_asked_for(settings: dict[str, Any]) -> None:
    store = hybrid(settings, [*TEXTS, ""])

    assert len(store.similarity_search("", k=3)) == 3


def test_a_checkpoint_without_sparse_weights_is_refused_by_name(pool: ModelPool) -> None:
    with pytest.raises(MissingOutputError, match=r"mini gives dense, multi.*BAAI/bge-m3"):
        hybrid({"model": "mini", "pool": pool}, TEXTS)
