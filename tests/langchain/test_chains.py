"""Real chains of LangChain over real text: what Python's own functions say about themselves."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from langchain_classic.retrievers import ContextualCompressionRetriever, EnsembleRetriever
from langchain_classic.retrievers.document_compressors import CrossEncoderReranker, DocumentCompressorPipeline
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.documents import Document
from langchain_core.vectorstores import InMemoryVectorStore
from langchain_text_splitters import CharacterTextSplitter

from bge_components import ModelArguments, ModelPool, make_encoder
from bge_components.langchain import BGECrossEncoder, BGEEmbeddings, BGEReranker
from support.corpus import MODULES

QUESTIONS = {
    "copy a whole directory tree": "shutil.copytree",
    "delete a folder and everything in it": "shutil.rmtree",
    "how much free space is left on the disk": "shutil.disk_usage",
    "where on the search path is this executable": "shutil.which",
    "create an archive file such as zip or tar": "shutil.make_archive",
    "the largest items of a data set": "heapq.nlargest",
    "the middle value of some numbers": "statistics.median",
    "the most common value": "statistics.mode",
    "remember the results of earlier calls": "functools.lru_cache",
    "fix some arguments of a function": "functools.partial",
    "run a command and wait until it completes": "subprocess.run",
    "remove common leading white space from every line": "textwrap.dedent",
    "shorten text to fit in a given width": "textwrap.shorten",
    "run coroutines concurrently and collect their results": "asyncio.gather",
    "write an object as a JSON string": "json.dumps",
    "split a string wherever a pattern occurs": "re.split",
    "replace what a pattern matches": "re.sub",
    "characters that are special in a regular expression": "re.escape",
    "parse a query string": "urllib.parse.parse_qs",
    "join a base URL and a relative one": "urllib.parse.urljoin",
}


def passages() -> list[Document]:
    """One document per public function of the standard library's modules: real prose, on every machine."""
    found = {
        f"{module.__name__}.{name}": inspect.getdoc(item) or ""
        for module in MODULES
        for name, item in vars(module).items()
        if not name.startswith("_") and callable(item) and getattr(item, "__module__", "") != "builtins"
    }
    return [
        Document(page_content=text, id=name, metadata={"name": name})
        for name, text in found.items()
        if 60 < len(text) < 2000
    ]


@pytest.fixture(scope="module")
def embeddings() -> BGEEmbeddings:
    return BGEEmbeddings(model="mini", on_truncation="ignore")


@pytest.fixture(scope="module")
def store(embeddings: BGEEmbeddings) -> InMemoryVectorStore:
    store = InMemoryVectorStore(embeddings)
    store.add_documents(passages())
    return store


@pytest.fixture
def reranker() -> BGEReranker:
    return BGEReranker(model="mini", top_n=3, on_truncation="ignore")


def two_stages(store: InMemoryVectorStore, compressor: Any, k: int = 20) -> ContextualCompressionRetriever:
    retriever = store.as_retriever(search_kwargs={"k": k})
    return ContextualCompressionRetriever(base_compressor=compressor, base_retriever=retriever)


def mean_reciprocal_rank(retrieve: Callable[[str], Sequence[Document]]) -> float:
    total = 0.0
    for question, name in QUESTIONS.items():
        names = [document.metadata["name"] for document in retrieve(question)]
        total += 1 / (names.index(name) + 1) if name in names else 0.0
    return total / len(QUESTIONS)


def test_reranking_finds_the_answer_higher_up_than_recall_alone(
    store: InMemoryVectorStore, reranker: BGEReranker
) -> None:
    recall = store.as_retriever(search_kwargs={"k": 20})
    reranker.top_n = 20

    alone = mean_reciprocal_rank(recall.invoke)
    reranked = mean_reciprocal_rank(two_stages(store, reranker).invoke)

    assert alone > 0.5
    assert reranked > alone


def test_both_stages_use_one_copy_of_the_weights(
    store: InMemoryVectorStore, reranker: BGEReranker, pool: ModelPool
) -> None:
    two_stages(store, reranker).invoke("copy a whole directory tree")

    assert pool.stats().loads == len(pool.stats().models) == 1


def test_recall_is_exact_and_reranking_only_reorders_it(
    store: InMemoryVectorStore, reranker: BGEReranker
) -> None:
    question = "how much free space is left on the disk"
    reranker.top_n = None
    recalled = store.as_retriever(search_kwargs={"k": 10}).invoke(question)

    reranked = two_stages(store, reranker, k=10).invoke(question)

    encoder = make_encoder(ModelArguments(model="mini"))
    query = encoder.encode([question], role="query").need_dense().values[0]
    own = sorted(passages(), key=lambda one: -query @ store.store[one.id]["vector"])[:10]
    assert [one.id for one in recalled] == [one.id for one in own]
    assert {one.id for one in reranked} == {one.id for one in recalled}


async def test_the_whole_chain_is_the_same_when_awaited(
    store: InMemoryVectorStore, reranker: BGEReranker
) -> None:
    chain = two_stages(store, reranker)

    for question in list(QUESTIONS)[:5]:
        assert await chain.ainvoke(question) == chain.invoke(question)


def test_the_compressor_of_langchain_takes_the_cross_encoder(
    store: InMemoryVectorStore, reranker: BGEReranker
) -> None:
    theirs = CrossEncoderReranker(model=BGECrossEncoder(model="mini", on_truncation="ignore"), top_n=3)

    for question in QUESTIONS:
        assert two_stages(store, theirs).invoke(question) == two_stages(store, reranker).invoke(question)


async def test_it_works_as_a_step_of_a_pipeline(store: InMemoryVectorStore, reranker: BGEReranker) -> None:
    splitter = CharacterTextSplitter(separator="\n\n", chunk_size=1, chunk_overlap=0)
    reranker.add_scores = True
    chain = two_stages(store, DocumentCompressorPipeline(transformers=[splitter, reranker]))

    kept = chain.invoke("delete a folder and everything in it")

    assert kept[0].metadata["name"] == "shutil.rmtree"
    assert "\n\n" not in kept[0].page_content
    assert len(kept) == 3
    assert await chain.ainvoke("delete a folder and everything in it") == kept


def test_it_reranks_what_an_ensemble_found(store: InMemoryVectorStore, reranker: BGEReranker) -> None:
    short = InMemoryVectorStore(BGEEmbeddings(model="mini", dimensions=128, on_truncation="ignore"))
    short.add_documents(passages())
    both = EnsembleRetriever(retrievers=[store.as_retriever(), short.as_retriever()], weights=[0.5, 0.5])
    chain = ContextualCompressionRetriever(base_compressor=reranker, base_retriever=both)

    assert chain.invoke("join a base URL and a relative one")[0].id == "urllib.parse.urljoin"


def test_the_trace_of_a_chain_holds_the_reranker_under_its_retriever(
    store: InMemoryVectorStore, reranker: BGEReranker
) -> None:
    runs: dict[Any, tuple[str, Any]] = {}

    class Recorder(BaseCallbackHandler):
        def on_retriever_start(self, serialized: Any, query: str, **more: Any) -> None:
            runs[more["run_id"]] = (more["name"], more["parent_run_id"])

        def on_chain_start(self, serialized: Any, inputs: Any, **more: Any) -> None:
            runs[more["run_id"]] = (more["name"], more["parent_run_id"])

    two_stages(store, reranker).invoke("the most common value", config={"callbacks": [Recorder()]})

    names = {name: runs[parent][0] if parent else None for name, parent in runs.values()}
    assert names == {
        "ContextualCompressionRetriever": None,
        "VectorStoreRetriever": "ContextualCompressionRetriever",
        "BGEReranker": "ContextualCompressionRetriever",
    }
