from __future__ import annotations

import asyncio
import copy
import json
import pickle
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.documents import Document
from langchain_core.embeddings import DeterministicFakeEmbedding
from langchain_core.load import dumps, loads
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import ConfigurableField
from langchain_core.tools.retriever import create_retriever_tool
from langchain_core.vectorstores import InMemoryVectorStore
from langchain_tests.integration_tests import RetrieversIntegrationTests

from bge_components import ModelArguments, ModelPool, make_encoder, make_reranker
from bge_components.backends.fake import FakeSource
from bge_components.contracts import CallOptions
from bge_components.encoders import Encoder
from bge_components.errors import InputError, InputTypeError
from bge_components.langchain import BGEEmbeddings, BGEHybridRetriever, BGERescoringRetriever, BGEVectorStore
from bge_components.retrieval import Hit, HybridIndex, IndexSettings, QueryPlan, Rerank

FAKE: dict[str, Any] = {"model": "x", "backend": "fake"}
TEXTS = [
    "Paris is the capital of France",
    "Berlin is the capital of Germany",
    "Water boils at one hundred degrees",
    "A cat sleeps most of the day",
]
METADATAS = [{"lang": "fr"}, {"lang": "de"}, {"lang": "en"}, {"lang": "en"}]
IDS = ["paris", "berlin", "water", "cat"]
QUERY = "capital of France"


@pytest.fixture
def retriever() -> BGEHybridRetriever:
    return BGEHybridRetriever.from_texts(TEXTS, BGEEmbeddings(**FAKE), METADATAS, ids=IDS, k=2)


class TestStandard(RetrieversIntegrationTests):
    @property
    def retriever_constructor(self) -> type[BaseRetriever]:
        return BGEHybridRetriever

    @property
    def retriever_constructor_params(self) -> dict[str, Any]:
        index = HybridIndex(make_encoder(ModelArguments(**FAKE)))
        index.add(TEXTS)
        return {"index": index}

    @property
    def retriever_query_example(self) -> str:
        return QUERY


def found(documents: list[Document]) -> list[str | None]:
    return [document.id for document in documents]


async def test_documents_and_texts_come_in_by_every_door(retriever: BGEHybridRetriever) -> None:
    documents = [
        Document(text, id=one, metadata=data) for text, one, data in zip(TEXTS, IDS, METADATAS, strict=True)
    ]
    before = copy.deepcopy(documents)
    doors = [
        BGEHybridRetriever.from_documents(documents, k=2, **FAKE),
        await BGEHybridRetriever.afrom_documents(documents, BGEEmbeddings(**FAKE), k=2),
        await BGEHybridRetriever.afrom_texts(TEXTS, metadatas=METADATAS, ids=IDS, k=2, **FAKE),
        BGEHybridRetriever(index=retriever.index, k=2),
    ]

    expected = retriever.invoke(QUERY)

    assert expected[0] == documents[0]
    for door in doors:
        assert door.invoke(QUERY) == expected
        assert await door.ainvoke(QUERY) == expected
    assert documents == before


async def test_k_and_filter_and_plan_of_a_call_go_before_the_retrievers(
    retriever: BGEHybridRetriever,
) -> None:
    german, words = {"lang": "de"}, QueryPlan(channels=("sparse",), late_interaction=0)
    narrowed = BGEHybridRetriever(index=retriever.index, filter={"lang": "en"}, plan=QueryPlan(top_k=1))

    assert found(retriever.invoke(QUERY, k=1)) == ["paris"]
    assert found(retriever.invoke(QUERY, filter=german)) == ["berlin"]
    assert found(retriever.invoke("cat", plan=words)) == ["cat"]
    assert len(narrowed.invoke(QUERY)) == 1
    assert found(narrowed.invoke(QUERY, filter=german)) == ["berlin"]
    assert {*found(narrowed.invoke(QUERY, k=4))} == {"water", "cat"}
    assert found(await retriever.ainvoke(QUERY, k=1, filter=german)) == ["berlin"]
    assert found(await retriever.ainvoke("cat", plan=words)) == ["cat"]


@pytest.mark.parametrize("k", [0, 3, 100])
def test_k_may_be_anything_from_nothing_to_more_than_there_is(retriever: BGEHybridRetriever, k: int) -> None:
    assert len(retriever.invoke(QUERY, k=k)) == min(k, 4)


def test_scores_are_in_metadata_only_when_asked_for(retriever: BGEHybridRetriever) -> None:
    assert retriever.invoke(QUERY)[0].metadata == {"lang": "fr"}
    retriever.add_scores = True

    best = retriever.invoke(QUERY)[0]

    hit = retriever.index.search(QUERY, top_k=1)[0]
    assert best.metadata["relevance_score"] == pytest.approx(hit.score)
    assert best.metadata["retrieval_scores"] == pytest.approx(
        {name: part.score for name, part in hit.parts.items()}
    )
    assert set(best.metadata["retrieval_scores"]) == {"dense", "sparse", "multi"}
    assert best.metadata["lang"] == "fr"


def test_a_rerankers_score_is_the_score(retriever: BGEHybridRetriever) -> None:
    reranker = make_reranker(ModelArguments(**FAKE))
    retriever.plan, retriever.add_scores = QueryPlan(rerank=(Rerank(reranker=reranker),)), True

    best = retriever.invoke(QUERY, k=1)[0]

    expected = reranker.score([(QUERY, best.page_content)])[0]
    assert best.metadata["relevance_score"] == pytest.approx(float(expected), abs=1e-5)


def test_of_a_long_document_the_whole_comes_back_and_the_best_window_when_asked_for() -> None:
    text = " ".join(f"word{n}" for n in range(1200)) + " needle"
    retriever = BGEHybridRetriever.from_texts([text, "short"], ids=["long", "short"], k=1, **FAKE)

    assert retriever.invoke("needle") == [Document(text, id="long", metadata={})]
    retriever.add_window = True
    [parent] = retriever.invoke("needle")
    [short] = retriever.invoke("short")

    window = parent.metadata["best_window"]
    assert parent.page_content == text
    assert window["text"] == text[window["start"] : window["stop"]]
    assert window["text"].endswith("needle")
    assert len(window["text"]) < len(text)
    assert short.metadata == {}


def test_windows_are_as_the_settings_of_the_index_say() -> None:
    text = "red green blue " * 30 + "needle"
    settings = IndexSettings(window_tokens=16, overlap_tokens=0)
    retriever = BGEHybridRetriever.from_texts([text], settings=settings, add_window=True, **FAKE)

    window = retriever.invoke("needle")[0].metadata["best_window"]["text"]

    assert len(window.split()) <= 16


async def test_batches_retries_and_fallbacks_work(retriever: BGEHybridRetriever) -> None:
    queries = [QUERY, "cat day"]
    expected = [retriever.invoke(query) for query in queries]

    assert retriever.batch(queries) == expected
    assert await retriever.abatch(queries, config={"max_concurrency": 1}) == expected
    assert retriever.with_retry(stop_after_attempt=2).invoke(QUERY) == expected[0]
    broken = BGEHybridRetriever(model="no-such/checkpoint", local_files_only=True)
    assert broken.with_fallbacks([retriever]).invoke(QUERY) == expected[0]


def test_fields_can_be_configured_and_the_index_is_shared(retriever: BGEHybridRetriever) -> None:
    configurable = retriever.configurable_fields(
        k=ConfigurableField(id="k"), filter=ConfigurableField(id="filter")
    )

    assert len(configurable.invoke(QUERY)) == 2
    assert found(configurable.invoke(QUERY, config={"configurable": {"k": 1}})) == ["paris"]
    config = {"configurable": {"filter": {"lang": "de"}}}
    assert found(configurable.invoke(QUERY, config=config)) == ["berlin"]  # type: ignore[arg-type]


@pytest.mark.filterwarnings("ignore:This API is in beta")
async def test_it_is_a_tool_for_agents(retriever: BGEHybridRetriever) -> None:
    plain = retriever.as_tool(name="search", description="Finds facts.")
    tool = create_retriever_tool(retriever, "search", "Finds facts.", response_format="content_and_artifact")
    call = {"type": "tool_call", "id": "1", "name": "search", "args": {"query": QUERY}}

    assert found(plain.invoke(QUERY)) == found(await plain.ainvoke(QUERY)) == ["paris", "berlin"]
    assert tool.invoke({"query": QUERY}) == "\n\n".join(TEXTS[:2])
    assert (
        found(tool.invoke(call).artifact) == found((await tool.ainvoke(call)).artifact) == ["paris", "berlin"]
    )


class Recorder(BaseCallbackHandler):
    def __init__(self) -> None:
        self.seen: list[tuple[str, Any]] = []

    def on_retriever_start(self, serialized: Any, query: str, **more: Any) -> None:
        self.seen.append(("start", {**more["metadata"], "name": more["name"], "query": query}))

    def on_retriever_end(self, documents: Any, **more: Any) -> None:
        self.seen.append(("end", documents))

    def on_retriever_error(self, error: BaseException, **more: Any) -> None:
        self.seen.append(("error", error))


async def test_a_call_is_a_run_that_says_what_searched(retriever: BGEHybridRetriever) -> None:
    recorder, twin = Recorder(), Recorder()

    documents = retriever.invoke(QUERY, config={"callbacks": [recorder]})
    await retriever.ainvoke(QUERY, config={"callbacks": [twin]})

    assert recorder.seen == twin.seen
    assert recorder.seen[0][1] == {
        "name": "BGEHybridRetriever",
        "query": QUERY,
        "ls_retriever_name": "bgehybrid",
        "ls_vector_store_provider": "memory",
        "ls_embedding_provider": "BGEEmbeddings",
        "ls_embedding_model": "x",
    }
    assert recorder.seen[1] == ("end", documents)


async def test_an_error_ends_the_run_and_reaches_the_caller(retriever: BGEHybridRetriever) -> None:
    recorder = Recorder()

    with pytest.raises(InputError, match="top_k") as raised:
        await retriever.ainvoke(QUERY, config={"callbacks": [recorder]}, k=-1)

    assert recorder.seen[1] == ("error", raised.value)


def test_making_one_loads_nothing_and_the_default_is_what_most_people_want(fresh_pool: ModelPool) -> None:
    assert BGEHybridRetriever().embedding == BGEEmbeddings()
    assert fresh_pool.stats().loads == fresh_pool.stats().failed_loads == 0


def test_retrievers_compare_by_settings_and_index(retriever: BGEHybridRetriever) -> None:
    assert BGEHybridRetriever(index=retriever.index, k=2) == retriever
    assert BGEHybridRetriever(index=retriever.index, k=3) != retriever
    assert BGEHybridRetriever(**FAKE) != BGEHybridRetriever(**FAKE)
    assert retriever != "retriever"


def test_the_model_is_given_as_an_embedding_or_by_its_arguments() -> None:
    one = BGEHybridRetriever(embedding=BGEEmbeddings(**FAKE, timeout_s=5), k=3)
    other = BGEHybridRetriever(model_name="x", backend="fake", timeout_s=5, k=3)

    assert one.embedding == other.embedding
    assert one.index.encoder == other.index.encoder
    assert "model='x'" in repr(other)


def test_an_open_index_brings_its_own_settings(pool: ModelPool) -> None:
    own = HybridIndex(make_encoder(ModelArguments(**FAKE)))
    bare = HybridIndex(Encoder(FakeSource("fake"), pool=pool))

    assert BGEHybridRetriever(index=own).embedding == BGEEmbeddings(**FAKE)
    assert BGEHybridRetriever(index=bare).embedding is None
    assert BGEHybridRetriever(index=bare).invoke(QUERY) == []


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"kk": 3}, "BGEHybridRetriever.*kk: no such argument"),
        ({"k": -1}, "k:"),
        ({"k": "3"}, "k:"),
        ({"plan": {"top_k": 3}}, "plan"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"index": "folder"}, "index"),
        ({"embedding": BGEEmbeddings(), "model": "mini"}, "leave out model"),
    ],
    ids=str,
)
def test_arguments_that_make_no_sense_are_refused_by_name(arguments: dict[str, Any], named: str) -> None:
    with pytest.raises(InputError, match=named):
        BGEHybridRetriever(**arguments)


def test_another_model_than_the_indexs_is_refused_with_both_named(retriever: BGEHybridRetriever) -> None:
    with pytest.raises(InputError, match=r"Encoder\('x'.*Encoder\('y'"):
        BGEHybridRetriever(index=retriever.index, model="y", backend="fake")


def test_other_embeddings_are_refused_with_advice() -> None:
    with pytest.raises(InputTypeError, match="from_vector_store"):
        BGEHybridRetriever.from_texts(TEXTS, DeterministicFakeEmbedding(size=6))  # type: ignore[arg-type]


def test_a_search_takes_timeout_and_batches_from_the_embedding() -> None:
    asked: list[CallOptions] = []

    class Asked(HybridIndex):
        def search(self, *args: Any, options: CallOptions, **more: Any) -> list[Hit]:
            asked.append(options)
            return []

    index = Asked(make_encoder(ModelArguments(**FAKE)))
    BGEHybridRetriever(index=index, **FAKE, timeout_s=9, batch_tokens=300).invoke(QUERY)

    assert [(one.timeout_s, one.batch_tokens) for one in asked] == [(9, 300)]
    assert asked[0].deadline is not None


@pytest.mark.filterwarnings("ignore:The function `loads` is in beta")
def test_an_index_in_memory_is_neither_written_nor_pickled_and_a_copy_shares_it(
    retriever: BGEHybridRetriever,
) -> None:
    with pytest.raises(InputTypeError, match="open in this process"):
        pickle.dumps(retriever)
    written = dumps(retriever)
    assert json.loads(written)["type"] == "not_implemented"
    with pytest.raises(NotImplementedError, match="BGEHybridRetriever"):
        loads(written, allowed_objects=[BGEHybridRetriever], valid_namespaces=["bge_components"])

    for twin in (copy.copy(retriever), copy.deepcopy(retriever), retriever.model_copy(update={"k": 1})):
        assert twin.index is retriever.index
        assert found(twin.invoke(QUERY))[0] == "paris"


def test_over_a_store_it_recalls_there_and_orders_again() -> None:
    store = InMemoryVectorStore.from_texts(TEXTS, BGEEmbeddings(**FAKE))

    retriever = BGEHybridRetriever.from_vector_store(store, k=1, **FAKE)

    assert isinstance(retriever, BGERescoringRetriever)
    assert retriever.invoke(QUERY)[0].page_content == TEXTS[0]


def test_it_shares_an_index_with_a_store(retriever: BGEHybridRetriever) -> None:
    store = BGEVectorStore(index=retriever.index)
    store.add_texts(["Lyon is not the capital of France"], ids=["lyon"])

    assert "lyon" in found(retriever.invoke("Lyon"))


class RefusingExecutor(ThreadPoolExecutor):
    def submit(self, *args: Any, **kwargs: Any) -> Future[Any]:
        raise AssertionError("the event loop's default executor was used")


async def use_everything() -> None:
    retriever = await BGEHybridRetriever.afrom_texts(TEXTS, k=2, **FAKE)
    await retriever.ainvoke(QUERY, k=1, filter={"lang": "en"})
    await asyncio.gather(*(retriever.ainvoke(text) for text in TEXTS))
    await retriever.index.aclose()


async def test_the_loops_default_executor_is_never_used(fresh_pool: ModelPool) -> None:
    asyncio.get_running_loop().set_default_executor(RefusingExecutor(1))

    await use_everything()

    with pytest.raises(AssertionError, match="default executor"):
        await asyncio.to_thread(print)


async def test_nothing_blocks_the_event_loop_not_even_the_load(fresh_pool: ModelPool) -> None:
    blockbuster = pytest.importorskip("blockbuster")

    with blockbuster.blockbuster_ctx():
        await use_everything()
