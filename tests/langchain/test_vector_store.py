from __future__ import annotations

import asyncio
import copy
import datetime
import pickle
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from langchain_core.documents import Document
from langchain_core.embeddings import DeterministicFakeEmbedding
from langchain_core.indexing import InMemoryRecordManager
from langchain_core.indexing import index as index_documents
from langchain_core.vectorstores import VectorStore
from langchain_core.vectorstores.utils import maximal_marginal_relevance
from langchain_tests.integration_tests import VectorStoreIntegrationTests

from bge_components import (
    EncoderSettings,
    ModelArguments,
    ModelPool,
    RerankerSettings,
    make_encoder,
    make_reranker,
)
from bge_components.backends.fake import FakeSource
from bge_components.contracts import DEFAULT_OPTIONS, CallOptions
from bge_components.encoders import Encoder
from bge_components.errors import (
    FilterError,
    InputError,
    InputTypeError,
    MissingChannelError,
)
from bge_components.langchain import BGEEmbeddings, BGEVectorStore
from bge_components.retrieval import (
    Hit,
    HybridIndex,
    IndexSettings,
    IngestReport,
    MemoryEngine,
    QueryPlan,
    ReciprocalRank,
    Rerank,
)

FAKE: dict[str, Any] = {"model": "x", "backend": "fake"}
TEXTS = [
    "Paris is the capital of France",
    "Berlin is the capital of Germany",
    "Water boils at one hundred degrees",
    "A cat sleeps most of the day",
]
METADATAS = [{"lang": "fr", "year": 2020}, {"lang": "de", "year": 2021}, {"lang": "en"}, {"lang": "en"}]
IDS = ["paris", "berlin", "water", "cat/ 🐈"]
QUERY = "capital of France"


def documents() -> list[Document]:
    return [Document(page_content=text, metadata=dict(data)) for text, data in zip(TEXTS, METADATAS)]


@pytest.fixture
def store() -> BGEVectorStore:
    return BGEVectorStore.from_texts(TEXTS, BGEEmbeddings(**FAKE), METADATAS, ids=IDS)


class TestStandardInMemory(VectorStoreIntegrationTests):
    @pytest.fixture
    def vectorstore(self) -> Iterator[VectorStore]:  # type: ignore[override]
        with BGEVectorStore(**FAKE) as store:
            yield store


class TestStandardWithMini(VectorStoreIntegrationTests):
    @pytest.fixture
    def vectorstore(self) -> Iterator[VectorStore]:  # type: ignore[override]
        with BGEVectorStore(BGEEmbeddings(model="mini")) as store:
            yield store


def test_making_a_store_loads_nothing(fresh_pool: ModelPool) -> None:
    BGEVectorStore(model="no-such/checkpoint")

    assert fresh_pool.stats().loads == fresh_pool.stats().failed_loads == 0


def test_the_default_model_is_the_one_that_most_people_want() -> None:
    assert BGEVectorStore().embeddings == BGEEmbeddings()


def test_what_was_found_is_what_was_given(store: BGEVectorStore) -> None:
    found = store.similarity_search(QUERY, k=4)

    assert found[0] == Document(id="paris", page_content=TEXTS[0], metadata=METADATAS[0])
    assert {one.id for one in found} == set(IDS)
    assert store.get_by_ids([*IDS, "none"]) == [
        Document(id=one, page_content=text, metadata=data) for one, text, data in zip(IDS, TEXTS, METADATAS)
    ]


async def test_every_search_is_the_same_when_awaited(store: BGEVectorStore) -> None:
    vector = store.similarity_search_by_vector
    embedded = BGEEmbeddings(**FAKE).embed_query(QUERY)

    assert await store.asimilarity_search(QUERY) == store.similarity_search(QUERY)
    assert await store.asimilarity_search_with_score(QUERY) == store.similarity_search_with_score(QUERY)
    assert await store.asimilarity_search_by_vector(embedded) == vector(embedded)
    assert await store.amax_marginal_relevance_search(QUERY) == store.max_marginal_relevance_search(QUERY)
    assert await store.amax_marginal_relevance_search_by_vector(
        embedded, 2
    ) == store.max_marginal_relevance_search_by_vector(embedded, 2)
    assert await store.asimilarity_search_with_relevance_scores(
        QUERY
    ) == store.similarity_search_with_relevance_scores(QUERY)
    assert await store.aget_by_ids(IDS) == store.get_by_ids(IDS)


async def test_documents_and_texts_come_in_by_every_door() -> None:
    embedding = BGEEmbeddings(**FAKE)
    doors = [
        BGEVectorStore.from_documents(documents(), embedding, ids=IDS),
        await BGEVectorStore.afrom_documents(documents(), embedding, ids=IDS),
        BGEVectorStore.from_texts(TEXTS, embedding, METADATAS, ids=IDS),
        await BGEVectorStore.afrom_texts(TEXTS, embedding, METADATAS, ids=IDS),
        BGEVectorStore.from_texts(TEXTS, metadatas=METADATAS, ids=IDS, **FAKE),
    ]
    for add in ("add_documents", "aadd_documents"):
        store = BGEVectorStore(embedding)
        added = getattr(store, add)(documents(), ids=IDS)
        assert (await added if add.startswith("a" * 2) else added) == IDS
        doors.append(store)

    expected = doors[0].similarity_search(QUERY)

    assert all(one.similarity_search(QUERY) == expected for one in doors)


def test_ids_of_documents_are_kept_and_missing_ones_made_up() -> None:
    store = BGEVectorStore(**FAKE)

    given = store.add_documents([Document("one", id="1"), Document("two"), Document("three", id="1 2/ü")])

    assert (given[0], given[2]) == ("1", "1 2/ü")
    assert len(given[1]) == 36
    assert [one.page_content for one in store.get_by_ids(given)] == ["one", "two", "three"]


def test_adding_replaces_and_of_equal_ids_the_last_wins() -> None:
    store = BGEVectorStore.from_texts(["old"], ids=["1"], **FAKE)

    store.add_texts(["newer", "newest"], ids=["1", "1"])

    assert store.index.count() == 1
    assert store.get_by_ids(["1"])[0].page_content == "newest"


def test_what_was_given_is_not_touched() -> None:
    given = documents()
    before = copy.deepcopy(given)

    store = BGEVectorStore.from_documents(given, BGEEmbeddings(**FAKE))
    for found in store.similarity_search(QUERY):
        found.metadata["mine"] = True

    assert given == before
    assert all("mine" not in one.metadata for one in store.similarity_search(QUERY))


def test_filters_choose_what_counts(store: BGEVectorStore) -> None:
    assert [one.id for one in store.similarity_search(QUERY, filter={"year": {"$gte": 2021}})] == ["berlin"]
    assert [one.id for one in store.max_marginal_relevance_search(QUERY, filter={"lang": "fr"})] == ["paris"]
    with pytest.raises(FilterError, match=r"\$gt"):
        store.similarity_search(QUERY, filter={"year": {"$greater": 1}})


def test_a_search_may_have_a_plan_of_its_own(store: BGEVectorStore) -> None:
    [(_, cosine)] = store.similarity_search_with_score(
        QUERY, k=1, plan=QueryPlan(channels=("dense",), late_interaction=0)
    )

    vectors = BGEEmbeddings(**FAKE)
    assert cosine == pytest.approx(
        np.dot(vectors.embed_query(QUERY), vectors.embed_documents(TEXTS[:1])[0]), abs=1e-5
    )


def test_the_stores_plan_counts_unless_a_search_has_one(store: BGEVectorStore) -> None:
    planned = BGEVectorStore(index=store.index, plan=QueryPlan(channels=("sparse",), late_interaction=0))

    assert [one.id for one in planned.similarity_search("cat")] == ["cat/ 🐈"]
    assert len(planned.similarity_search("cat", plan=QueryPlan())) == 4


def test_a_vector_finds_what_its_text_finds_by_dense_vectors(store: BGEVectorStore) -> None:
    dense = QueryPlan(channels=("dense",), late_interaction=0)
    vector = BGEEmbeddings(**FAKE).embed_query("the day of a cat")

    assert store.similarity_search_by_vector(vector, k=3) == store.similarity_search(
        "the day of a cat", k=3, plan=dense
    )


def test_a_vector_works_also_where_the_plan_reranks(store: BGEVectorStore) -> None:
    reranker = make_reranker(ModelArguments(**FAKE))
    store.plan = QueryPlan(rerank=(Rerank(reranker=reranker),), threshold=0.1)

    assert len(store.similarity_search_by_vector(BGEEmbeddings(**FAKE).embed_query(QUERY), k=3)) == 3


def test_a_vector_of_wrong_length_is_refused(store: BGEVectorStore) -> None:
    with pytest.raises(InputError, match="32"):
        store.similarity_search_by_vector([0.5] * 6)


def test_lambda_means_what_langchain_means_by_it() -> None:
    texts = ["red apple pie", "red apple pie", "red apple cake", "green pear"]
    store = BGEVectorStore.from_texts(texts, ids=["1", "2", "3", "4"], **FAKE)

    alike = store.max_marginal_relevance_search("red apple pie", k=2, lambda_mult=1.0)
    apart = store.max_marginal_relevance_search("red apple pie", k=2, lambda_mult=0.0)

    assert {one.id for one in alike} == {"1", "2"}
    assert [one.page_content for one in apart] == ["red apple pie", "green pear"]


def test_diversity_by_vector_is_langchains_own_over_cosines(store: BGEVectorStore) -> None:
    embedding = BGEEmbeddings(**FAKE)
    query = embedding.embed_query("the capital of the day")
    stored = embedding.embed_documents(TEXTS)
    for lambda_mult in (0.0, 0.3, 0.5, 0.8, 1.0):
        theirs = maximal_marginal_relevance(np.array(query), stored, lambda_mult=lambda_mult, k=3)

        ours = store.max_marginal_relevance_search_by_vector(query, k=3, lambda_mult=lambda_mult)

        assert [one.id for one in ours] == [IDS[place] for place in theirs]


def test_relevance_is_between_0_and_1_and_does_not_depend_on_what_else_was_found(
    store: BGEVectorStore,
) -> None:
    several = dict((one.id, score) for one, score in store.similarity_search_with_relevance_scores(QUERY))
    [(alone, score)] = store.similarity_search_with_relevance_scores(QUERY, k=1, filter={"lang": "fr"})

    assert all(0 <= one <= 1 for one in several.values())
    assert several[alone.id] == pytest.approx(score)
    [(_, same)] = store.similarity_search_with_relevance_scores(TEXTS[0], k=1)
    assert same == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("channels", [("dense",), ("sparse",), ("bm25",), ("dense", "bm25")], ids=str)
def test_relevance_is_between_0_and_1_whatever_the_index_keeps(channels: tuple[str, ...]) -> None:
    store = BGEVectorStore(**FAKE, settings=IndexSettings(channels=channels))
    store.add_texts(TEXTS)

    for plan in (QueryPlan(), QueryPlan(fusion=ReciprocalRank(), fetch_k=1)):
        scored = store.similarity_search_with_relevance_scores(QUERY, plan=plan)
        assert scored
        assert all(0 <= score <= 1 for _, score in scored)


def test_with_a_reranker_its_score_is_the_relevance(store: BGEVectorStore) -> None:
    reranker = make_reranker(ModelArguments(**FAKE), RerankerSettings(scores="sigmoid"))
    plan = QueryPlan(rerank=(Rerank(reranker=reranker),))

    [(best, score)] = store.similarity_search_with_relevance_scores(QUERY, k=1, plan=plan)

    assert score == pytest.approx(float(reranker.score([(QUERY, best.page_content)])[0]), abs=1e-5)


async def test_all_three_kinds_of_retriever_work(store: BGEVectorStore) -> None:
    kinds: list[dict[str, Any]] = [
        {"search_kwargs": {"k": 2}},
        {"search_type": "mmr", "search_kwargs": {"k": 2, "fetch_k": 3, "lambda_mult": 0.9}},
        {"search_type": "similarity_score_threshold", "search_kwargs": {"score_threshold": 0.5}},
    ]
    for kind in kinds:
        retriever = store.as_retriever(**kind)
        found = retriever.invoke(QUERY)
        assert found[0].id == "paris"
        assert await retriever.ainvoke(QUERY) == found
    assert store.as_retriever().tags == ["BGEVectorStore", "BGEEmbeddings"]


def test_a_threshold_drops_what_is_less_relevant(store: BGEVectorStore) -> None:
    scored = store.similarity_search_with_relevance_scores(QUERY, k=4)
    least = sorted(score for _, score in scored)[-2]

    kept = store.similarity_search_with_relevance_scores(QUERY, k=4, score_threshold=least)

    assert len(kept) == 2


async def test_documents_are_deleted_by_id_by_filter_or_all(store: BGEVectorStore) -> None:
    assert store.delete(["paris", "none"]) is True
    assert {one.id for one in store.similarity_search(QUERY)} == set(IDS[1:])
    assert await store.adelete(filter={"lang": "de"}) is True
    assert {one.id for one in store.similarity_search(QUERY)} == set(IDS[2:])
    assert store.delete([]) is True
    assert store.index.count() == 2
    assert await store.adelete() is True
    assert store.similarity_search(QUERY) == []


def test_ids_and_a_filter_together_are_refused(store: BGEVectorStore) -> None:
    with pytest.raises(InputError, match="one of them"):
        store.delete(["paris"], filter={"lang": "de"})


def test_langchains_indexing_keeps_it_up_to_date() -> None:
    store, records = BGEVectorStore(**FAKE), InMemoryRecordManager("bge")
    records.create_schema()
    pages = [Document(text, metadata={"source": text.split()[0]}) for text in TEXTS]

    def update(pages: list[Document]) -> dict[str, int]:
        return dict(
            index_documents(
                pages, records, store, cleanup="full", source_id_key="source", key_encoder="sha256"
            )
        )

    assert update(pages)["num_added"] == 4
    assert update(pages)["num_skipped"] == 4
    assert update(pages[:3])["num_deleted"] == 1
    assert store.index.count() == 3


@pytest.mark.parametrize("k", [0, 100])
def test_k_may_be_nothing_or_more_than_there_is(store: BGEVectorStore, k: int) -> None:
    assert len(store.similarity_search(QUERY, k=k)) == min(k, 4)
    assert len(store.max_marginal_relevance_search(QUERY, k=k)) == min(k, 4)


def test_a_long_document_comes_back_as_a_whole() -> None:
    text = " ".join(f"word{n}" for n in range(1200)) + " needle"
    store = BGEVectorStore.from_texts([text, "short"], ids=["long", "short"], **FAKE)

    [found] = store.similarity_search("needle", k=1)

    assert found == Document(id="long", page_content=text, metadata={})
    assert store.get_by_ids(["long"]) == [found]
    assert store.delete(["long"])
    assert [one.id for one in store.similarity_search("needle", k=4)] == ["short"]


def test_embeddings_and_store_share_one_copy_of_the_weights(fresh_pool: ModelPool) -> None:
    store = BGEVectorStore.from_texts(TEXTS, BGEEmbeddings(**FAKE))
    store.similarity_search(QUERY)
    assert store.embeddings is not None
    store.embeddings.embed_query(QUERY)

    assert fresh_pool.stats().loads == 1


def test_an_open_index_brings_its_own_settings() -> None:
    arguments = ModelArguments(model="x", backend="fake", local_files_only=True)
    index = HybridIndex(make_encoder(arguments, EncoderSettings(max_tokens=99)))

    store = BGEVectorStore(index=index)

    assert store.embeddings == BGEEmbeddings(**FAKE, local_files_only=True, max_tokens=99)
    assert store.index is index
    assert BGEVectorStore(store.embeddings, index=index).embeddings is store.embeddings  # type: ignore[arg-type]


def test_an_index_whose_encoder_is_no_checkpoint_has_no_embeddings(pool: ModelPool) -> None:
    store = BGEVectorStore(index=HybridIndex(Encoder(FakeSource("fake"), pool=pool)))

    assert store.embeddings is None
    assert store.add_texts(["one"], ids=["1"]) == ["1"]
    assert store.as_retriever().invoke("one")[0].id == "1"


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"index": "i", "model": "y", "backend": "fake"}, "leave embedding"),
        ({"index": "i", "path": "p"}, "path"),
        ({"index": "i", "engine": MemoryEngine()}, "engine"),
        ({"index": "i", "settings": IndexSettings()}, "settings"),
        ({"path": "p", "engine": MemoryEngine(), **FAKE}, "path and engine"),
        ({"embedding": BGEEmbeddings(), "model": "mini"}, "leave out model"),
        ({"pth": "p"}, "no argument pth"),
        ({"max_tokens": 0}, "max_tokens"),
    ],
    ids=str,
)
def test_arguments_that_make_no_sense_are_refused_by_name(
    store: BGEVectorStore, arguments: dict[str, Any], named: str
) -> None:
    if "index" in arguments:
        arguments = {**arguments, "index": store.index}

    with pytest.raises(InputError, match=named):
        BGEVectorStore(**arguments)


def test_other_embeddings_are_refused_with_advice() -> None:
    with pytest.raises(InputTypeError, match=r"BGEEmbeddings\(model=\.\.\.\).*from_vector_store"):
        BGEVectorStore.from_texts(TEXTS, DeterministicFakeEmbedding(size=6))


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda store: store.add_texts(["a"], [{"when": datetime.date(2024, 1, 1)}]), r"when.*isoformat"),
        (lambda store: store.add_texts(["a", "b"], [{}]), "2 texts and 1 metadatas"),
        (lambda store: store.add_texts(["a", "b"], ids=["1"]), "2 texts and 1 ids"),
        (lambda store: store.add_texts(["a", 3]), r"texts\[1\]"),
        (lambda store: store.add_texts("a"), "list of strings"),
        (lambda store: store.add_texts(["a"], ids="1"), "ids must be a list"),
        (lambda store: store.add_texts(["a"], ids=[""]), "empty"),
        (lambda store: store.add_documents(["a"]), r"documents\[0\] must be a Document, got str"),
        (lambda store: store.get_by_ids("paris"), "list"),
        (lambda store: store.similarity_search(QUERY, k=-1), "top_k"),
        (lambda store: store.similarity_search(QUERY, fitler={}), "no argument fitler"),
        (lambda store: store.similarity_search(3), "text"),
        (lambda store: store.max_marginal_relevance_search(QUERY, lambda_mult=2), "lambda_mult"),
        (lambda store: store.max_marginal_relevance_search(QUERY, fetch_k=0), "diversity"),
    ],
)
def test_nonsense_is_refused_and_nothing_is_stored(store: BGEVectorStore, call: Any, named: str) -> None:
    with pytest.raises(InputError, match=named):
        call(store)

    assert store.index.count() == 4


def test_a_vector_in_an_index_without_dense_vectors_is_refused() -> None:
    store = BGEVectorStore(**FAKE, settings=IndexSettings(channels=("sparse",)))

    with pytest.raises(MissingChannelError, match="dense"):
        store.similarity_search_by_vector([0.1] * 32)


def test_searches_and_ingest_take_timeout_and_batches_from_the_embedding() -> None:
    asked: list[CallOptions] = []

    class Asked(HybridIndex):
        def search(self, *args: Any, options: CallOptions, **more: Any) -> list[Hit]:
            asked.append(options)
            return []

        def upsert(self, documents: Any, options: CallOptions = DEFAULT_OPTIONS) -> IngestReport:
            asked.append(options)
            return IngestReport()

    embedding = BGEEmbeddings(**FAKE, timeout_s=9, batch_size=3)
    store = BGEVectorStore(embedding, index=Asked(make_encoder(ModelArguments(**FAKE))))
    store.similarity_search(QUERY)
    store.add_texts(TEXTS)
    store.add_documents([Document("a")], batch_size=7)

    assert [(one.timeout_s, one.batch_size) for one in asked] == [(9, 3), (9, 3), (9, 7)]
    assert asked[0].deadline is not None


def test_an_index_in_memory_is_not_pickled_and_a_copy_shares_it(store: BGEVectorStore) -> None:
    with pytest.raises(InputTypeError, match="open in this process"):
        pickle.dumps(store)

    assert copy.deepcopy(store).index is store.index


class RefusingExecutor(ThreadPoolExecutor):
    def submit(self, *args: Any, **kwargs: Any) -> Future[Any]:
        raise AssertionError("the event loop's default executor was used")


async def use_everything() -> None:
    store = await BGEVectorStore.afrom_documents(documents(), BGEEmbeddings(**FAKE), ids=IDS)
    assert store.embeddings is not None
    vector = await store.embeddings.aembed_query(QUERY)
    await store.aadd_texts(["one more"], ids=["more"])
    await store.asimilarity_search(QUERY)
    await store.asimilarity_search_with_relevance_scores(QUERY)
    await store.asimilarity_search_by_vector(vector)
    await store.amax_marginal_relevance_search(QUERY)
    await store.amax_marginal_relevance_search_by_vector(vector)
    for search_type in ("similarity", "mmr"):
        await store.as_retriever(search_type=search_type).ainvoke(QUERY)
    assert len(await store.aget_by_ids(["more"])) == 1
    await store.adelete(["more"])
    await store.aclose()


async def test_the_loops_default_executor_is_never_used(fresh_pool: ModelPool) -> None:
    asyncio.get_running_loop().set_default_executor(RefusingExecutor(1))

    await use_everything()

    with pytest.raises(AssertionError, match="default executor"):
        await asyncio.to_thread(print)


async def test_nothing_blocks_the_event_loop_not_even_the_load(fresh_pool: ModelPool) -> None:
    blockbuster = pytest.importorskip("blockbuster")

    with blockbuster.blockbuster_ctx():
        await use_everything()
