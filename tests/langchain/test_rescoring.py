from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.documents import Document
from langchain_core.embeddings import DeterministicFakeEmbedding
from langchain_core.retrievers import BaseRetriever
from langchain_core.vectorstores import InMemoryVectorStore
from langchain_tests.integration_tests import RetrieversIntegrationTests

from bge_components import ModelArguments, ModelPool, make_reranker
from bge_components.errors import InputError
from bge_components.langchain import BGEEmbeddings, BGEHybridRetriever, BGEReranker, BGERescoringRetriever

FAKE: dict[str, Any] = {"model": "x", "backend": "fake"}
TEXTS = [
    "Water boils at one hundred degrees",
    "Berlin is the capital of Germany",
    "Paris is the capital of France",
    "A cat sleeps most of the day",
]
QUERY = "capital of France"


class RecordingStore(InMemoryVectorStore):
    """Says which search was called and what it was asked."""

    def __init__(self, embedding: Any) -> None:
        super().__init__(embedding)
        self.asked: list[tuple[str, dict[str, Any]]] = []

    def similarity_search(self, query: str, k: int = 4, **kwargs: Any) -> list[Document]:
        self.asked.append(("blocking", {"k": k, **kwargs}))
        return super().similarity_search(query, k, **kwargs)

    async def asimilarity_search(self, query: str, k: int = 4, **kwargs: Any) -> list[Document]:
        self.asked.append(("async", {"k": k, **kwargs}))
        return await super().asimilarity_search(query, k, **kwargs)


@pytest.fixture
def store() -> RecordingStore:
    """A store whose own order is arbitrary."""
    store = RecordingStore(DeterministicFakeEmbedding(size=6))
    store.add_texts(TEXTS, [{"place": place} for place in range(4)], ids=["water", "berlin", "paris", "cat"])
    return store


@pytest.fixture
def retriever(store: RecordingStore) -> BGERescoringRetriever:
    return BGEHybridRetriever.from_vector_store(store, k=2, fetch_k=3, **FAKE)


class TestStandard(RetrieversIntegrationTests):
    @property
    def retriever_constructor(self) -> type[BaseRetriever]:
        return BGERescoringRetriever

    @property
    def retriever_constructor_params(self) -> dict[str, Any]:
        return {"vector_store": InMemoryVectorStore.from_texts(TEXTS, BGEEmbeddings(**FAKE)), **FAKE}

    @property
    def retriever_query_example(self) -> str:
        return QUERY


async def test_late_interaction_orders_what_the_store_recalled(store: RecordingStore) -> None:
    retriever = BGERescoringRetriever(vector_store=store, k=4, add_scores=True, scores="raw", **FAKE)

    kept = retriever.invoke(QUERY)

    expected = make_reranker(ModelArguments(**FAKE)).score([(QUERY, text) for text in TEXTS])
    assert [one.metadata["place"] for one in kept] == sorted(range(4), key=lambda place: -expected[place])
    assert kept[0].id == "paris"
    assert await retriever.ainvoke(QUERY) == kept


def test_the_same_as_compressing_by_hand(store: RecordingStore) -> None:
    reranker = BGEReranker(**FAKE, top_n=2)
    retriever = BGERescoringRetriever(vector_store=store, reranker=reranker, k=2)

    assert retriever.invoke(QUERY) == reranker.compress_documents(store.similarity_search(QUERY, 4), QUERY)


async def test_the_store_is_asked_in_its_own_way_for_fetch_k(
    store: RecordingStore, retriever: BGERescoringRetriever
) -> None:
    retriever.search_kwargs = {"more": "said"}
    retriever.filter = lambda document: document.metadata["place"] > 0

    retriever.invoke(QUERY)
    await retriever.ainvoke(QUERY, k=4)

    assert store.asked == [
        ("blocking", {"k": 3, "filter": retriever.filter, "more": "said"}),
        ("async", {"k": 4, "filter": retriever.filter, "more": "said"}),
    ]


def test_a_filter_of_a_call_goes_before_the_retrievers(retriever: BGERescoringRetriever) -> None:
    retriever.filter = lambda document: False

    assert retriever.invoke(QUERY) == []
    assert [one.id for one in retriever.invoke(QUERY, filter=lambda one: one.id == "cat")] == ["cat"]


def test_without_a_filter_the_store_is_asked_for_none(
    store: RecordingStore, retriever: BGERescoringRetriever
) -> None:
    retriever.invoke(QUERY)

    assert store.asked == [("blocking", {"k": 3})]


@pytest.mark.parametrize("k", [0, 3, 100])
async def test_k_may_be_anything_from_nothing_to_more_than_there_is(
    retriever: BGERescoringRetriever, k: int
) -> None:
    assert len(retriever.invoke(QUERY, k=k)) == len(await retriever.ainvoke(QUERY, k=k)) == min(k, 4)


@pytest.mark.parametrize("k", [-1, True, "3"])
def test_a_k_that_is_no_number_of_documents_is_refused(retriever: BGERescoringRetriever, k: Any) -> None:
    with pytest.raises(InputError, match="k must be"):
        retriever.invoke(QUERY, k=k)


async def test_both_stages_are_runs_of_their_own_under_the_retrievers(
    retriever: BGERescoringRetriever,
) -> None:
    runs: dict[UUID, tuple[str, UUID | None, list[str]]] = {}

    class Recorder(BaseCallbackHandler):
        def on_retriever_start(self, serialized: Any, query: str, **more: Any) -> None:
            runs[more["run_id"]] = (more["name"], more["parent_run_id"], more["tags"])

        def on_chain_start(self, serialized: Any, inputs: Any, **more: Any) -> None:
            runs[more["run_id"]] = (more["name"], more["parent_run_id"], more["tags"])

    def names() -> dict[str, str | None]:
        return {name: runs[parent][0] if parent else None for name, parent, _ in runs.values()}

    expected = {
        "BGERescoringRetriever": None,
        "VectorStoreRetriever": "BGERescoringRetriever",
        "BGEReranker": "BGERescoringRetriever",
    }
    retriever.invoke(QUERY, config={"callbacks": [Recorder()]})
    assert names() == expected
    assert any("recall" in tags for _, _, tags in runs.values())
    runs.clear()
    await retriever.ainvoke(QUERY, config={"callbacks": [Recorder()]})
    assert names() == expected


def test_it_says_what_searched(retriever: BGERescoringRetriever) -> None:
    assert retriever._get_ls_params() == {
        "ls_retriever_name": "bgerescoring",
        "ls_vector_store_provider": "RecordingStore",
        "ls_embedding_provider": "DeterministicFakeEmbedding",
    }


def test_recall_and_reranking_share_one_copy_of_the_weights(fresh_pool: ModelPool) -> None:
    store = InMemoryVectorStore.from_texts(TEXTS, BGEEmbeddings(**FAKE))

    BGERescoringRetriever(vector_store=store, **FAKE).invoke(QUERY)

    assert fresh_pool.stats().loads == 1


def test_the_default_orders_by_m3s_token_vectors(store: RecordingStore) -> None:
    assert BGERescoringRetriever(vector_store=store).reranker.model == "BAAI/bge-m3"
    assert BGERescoringRetriever(vector_store=store, add_scores=True).reranker.model == "BAAI/bge-m3"
    assert BGERescoringRetriever(vector_store=store, model_name="mini").reranker.model == "mini"


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"fetch_kk": 3}, "BGERescoringRetriever.*fetch_kk: no such argument"),
        ({"k": -1}, "k:"),
        ({"fetch_k": 0}, "fetch_k"),
        ({"top_n": 3}, "top_n: no such argument"),
        ({"scores": "log"}, "scores"),
        ({"reranker": BGEReranker(**FAKE), "model": "x"}, "leave out model"),
    ],
    ids=str,
)
def test_arguments_that_make_no_sense_are_refused_by_name(
    store: RecordingStore, arguments: dict[str, Any], named: str
) -> None:
    with pytest.raises(InputError, match=named):
        BGERescoringRetriever(vector_store=store, **arguments)


def test_a_store_is_needed() -> None:
    with pytest.raises(InputError, match="vector_store"):
        BGERescoringRetriever(**FAKE)


def test_without_a_model_the_one_of_the_stores_embeddings_orders(fresh_pool: ModelPool) -> None:
    embeddings = BGEEmbeddings(**FAKE, max_tokens=64, timeout_s=5)
    store = InMemoryVectorStore.from_texts(TEXTS, embeddings)
    retriever = BGEHybridRetriever.from_vector_store(store, k=1, add_scores=True)
    assert (retriever.reranker.model, retriever.reranker.backend) == ("x", "fake")
    assert (retriever.reranker.max_tokens, retriever.reranker.timeout_s) == (64, 5)
    assert retriever.invoke(QUERY)[0].page_content == TEXTS[2]
    assert BGEHybridRetriever.from_vector_store(store, model="y").reranker.model == "y"
