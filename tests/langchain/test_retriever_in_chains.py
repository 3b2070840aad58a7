"""The hybrid retriever and store in LangChain's own chains, over real text."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_classic.retrievers import (
    ContextualCompressionRetriever,
    EnsembleRetriever,
    MultiVectorRetriever,
    ParentDocumentRetriever,
)
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.documents import Document
from langchain_core.language_models import FakeListChatModel
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnablePassthrough
from langchain_core.stores import InMemoryStore
from langchain_core.vectorstores import InMemoryVectorStore
from langchain_text_splitters import CharacterTextSplitter

from bge_components import ModelPool
from bge_components.langchain import BGEEmbeddings, BGEHybridRetriever, BGEReranker, BGEVectorStore

FACTS = {
    "bread": "Sourdough bread rises for twelve hours. The oven is heated to two hundred and forty degrees.",
    "bees": "Honey bees dance to show the way to flowers. A hive holds sixty thousand of them in summer.",
    "paris": "Paris is the capital of France. The Eiffel Tower was built there for the fair of 1889.",
    "tides": "Tides follow the moon. Twice a day the sea rises and falls on most coasts.",
    "chess": "In chess the queen moves in every direction. The knight alone may jump over other pieces.",
}
QUESTIONS = {
    "Which chess piece jumps?": "chess",
    "How do bees tell each other where flowers are?": "bees",
    "When was the Eiffel Tower built?": "paris",
    "Why does the sea rise and fall?": "tides",
}
MINI: dict[str, Any] = {"model": "mini", "dtype": "float32"}


def documents() -> list[Document]:
    return [Document(text, id=name, metadata={"name": name}) for name, text in FACTS.items()]


@pytest.fixture(scope="module")
def retriever(pool: ModelPool) -> BGEHybridRetriever:
    return BGEHybridRetriever.from_documents(documents(), k=3, **MINI)


@pytest.mark.parametrize("question", QUESTIONS)
def test_the_answer_comes_first(retriever: BGEHybridRetriever, question: str) -> None:
    assert retriever.invoke(question)[0].id == QUESTIONS[question]


def test_index_and_reranker_share_one_copy_of_the_weights(
    retriever: BGEHybridRetriever, pool: ModelPool
) -> None:
    chain = ContextualCompressionRetriever(
        base_compressor=BGEReranker(**MINI, top_n=2), base_retriever=retriever
    )

    chain.invoke("Which chess piece jumps?")

    assert pool.stats().loads == 1


async def test_it_feeds_a_compressor(retriever: BGEHybridRetriever) -> None:
    reranker = BGEReranker(**MINI, top_n=1, add_scores=True)
    chain = ContextualCompressionRetriever(base_compressor=reranker, base_retriever=retriever)

    for question, name in QUESTIONS.items():
        [best] = chain.invoke(question)
        assert best.id == name
        assert 0 < best.metadata["relevance_score"] < 1
        assert await chain.ainvoke(question) == [best]


async def test_it_is_part_of_an_ensemble(retriever: BGEHybridRetriever) -> None:
    dense = InMemoryVectorStore(BGEEmbeddings(**MINI))
    dense.add_documents(documents())
    chain = EnsembleRetriever(
        retrievers=[retriever, dense.as_retriever(search_kwargs={"k": 3})],
        weights=[0.5, 0.5],
        id_key="name",
    )

    for question, name in QUESTIONS.items():
        found = chain.invoke(question)
        assert found[0].id == name
        assert len(found) == len({one.id for one in found})
        assert await chain.ainvoke(question) == found


def parents(store: BGEVectorStore) -> ParentDocumentRetriever:
    return ParentDocumentRetriever(
        vectorstore=store,
        docstore=InMemoryStore(),
        child_splitter=CharacterTextSplitter(separator=". ", chunk_size=1, chunk_overlap=0),
    )


async def test_the_store_keeps_children_for_their_parents() -> None:
    store = BGEVectorStore(**MINI)
    chain, twin = parents(store), parents(BGEVectorStore(**MINI))

    chain.add_documents(documents(), ids=list(FACTS))
    await twin.aadd_documents(documents(), ids=list(FACTS))

    assert store.index.count() == 2 * len(FACTS)
    for question, name in QUESTIONS.items():
        assert chain.invoke(question)[0].page_content == FACTS[name]
        assert (await twin.ainvoke(question))[0].page_content == FACTS[name]


@pytest.mark.parametrize("search_type", ["similarity", "mmr", "similarity_score_threshold"])
async def test_the_store_finds_summaries_for_what_they_stand_for(search_type: Any) -> None:
    store, kept = BGEVectorStore(**MINI), InMemoryStore()
    chain = MultiVectorRetriever(
        vectorstore=store,
        docstore=kept,
        id_key="fact",
        search_type=search_type,
        search_kwargs={"score_threshold": 0.2} if search_type == "similarity_score_threshold" else {},
    )
    chain.docstore.mset([(one.metadata["name"], one) for one in documents()])
    store.add_texts(QUESTIONS, [{"fact": name} for name in QUESTIONS.values()])

    found = chain.invoke("flowers and bees")

    assert found[0].id == "bees"
    assert await chain.ainvoke("flowers and bees") == found


async def test_it_answers_in_a_chain_of_prompt_and_model(retriever: BGEHybridRetriever) -> None:
    def joined(found: list[Document]) -> str:
        return "\n".join(one.page_content for one in found)

    prompt = ChatPromptTemplate.from_template("Context:\n{context}\n\nQuestion: {question}")
    seen: list[str] = []

    class Recorder(BaseCallbackHandler):
        def on_chat_model_start(self, serialized: Any, messages: Any, **more: Any) -> None:
            seen.append(messages[0][0].content)

    chain = (
        {"context": retriever | joined, "question": RunnablePassthrough()}
        | prompt
        | FakeListChatModel(responses=["The knight."])
        | StrOutputParser()
    )

    assert chain.invoke("Which chess piece jumps?", config={"callbacks": [Recorder()]}) == "The knight."
    assert await chain.ainvoke("Which chess piece jumps?") == "The knight."
    assert FACTS["chess"] in seen[0]


def test_in_a_chain_its_run_is_a_child(retriever: BGEHybridRetriever) -> None:
    runs: dict[Any, tuple[str, Any]] = {}

    class Recorder(BaseCallbackHandler):
        def on_retriever_start(self, serialized: Any, query: str, **more: Any) -> None:
            runs[more["run_id"]] = (more["name"], more["parent_run_id"])

        def on_chain_start(self, serialized: Any, inputs: Any, **more: Any) -> None:
            runs[more["run_id"]] = (more["name"], more["parent_run_id"])

    chain = ContextualCompressionRetriever(base_compressor=BGEReranker(**MINI), base_retriever=retriever)
    chain.invoke("Which chess piece jumps?", config={"callbacks": [Recorder()]})

    assert {name: runs[parent][0] if parent else None for name, parent in runs.values()} == {
        "ContextualCompressionRetriever": None,
        "BGEHybridRetriever": "ContextualCompressionRetriever",
        "HybridIndex": "BGEHybridRetriever",
        "BGEReranker": "ContextualCompressionRetriever",
    }


def test_late_interaction_over_any_store_puts_the_answer_first() -> None:
    store = InMemoryVectorStore(BGEEmbeddings(**MINI))
    store.add_documents(documents())
    retriever = BGEHybridRetriever.from_vector_store(store, k=1, **MINI)

    assert [retriever.invoke(question)[0].id for question in QUESTIONS] == list(QUESTIONS.values())
