from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import pytest
from llama_index.core import Document, MockEmbedding, StorageContext, VectorStoreIndex
from llama_index.core.schema import (
    IndexNode,
    NodeRelationship,
    NodeWithScore,
    QueryBundle,
    RelatedNodeInfo,
    TextNode,
)
from llama_index.core.vector_stores.types import MetadataFilter, MetadataFilters

from bge_components import ModelPool
from bge_components.assembly import make_reranker
from bge_components.errors import DeadlineError, FilterError, InputError, InputTypeError
from bge_components.llama_index import BGEEmbedding, BGEHybridRetriever, BGEVectorStore
from bge_components.retrieval import HybridIndex, IndexSettings, Query, QueryPlan, Rerank

from .conftest import Callbacks, Gate, Recorder

# LlamaIndex imports langchain-community, where it is installed, to recognise LangChain's embeddings.
pytestmark = [
    pytest.mark.usefixtures("pool"),
    pytest.mark.filterwarnings("ignore:`langchain-community` is being sunset:DeprecationWarning"),
]

EMBEDDING = BGEEmbedding("fake", backend="fake")
SOURCE = {NodeRelationship.SOURCE: RelatedNodeInfo(node_id="farm")}
NODES = [
    TextNode(id_="cat", text="a cat sleeps on the warm roof", metadata={"legs": 4}, relationships=SOURCE),
    TextNode(id_="dog", text="a dog runs through the wet grass", metadata={"legs": 4}),
    TextNode(id_="hen", text="the hen lays one egg a day", metadata={"legs": 2}),
    TextNode(id_="eel", text="an eel swims up the cold river", metadata={"legs": 0}),
]


def retriever(nodes: list[Any] = NODES, **arguments: Any) -> BGEHybridRetriever:
    return BGEHybridRetriever.from_nodes(nodes, BGEVectorStore(EMBEDDING), **arguments)


def ids(found: list[NodeWithScore]) -> list[str]:
    return [one.node_id for one in found]


# ---------------------------------------------------------------------- what is found


async def test_the_nodes_that_were_stored_come_back_with_the_scores_of_the_index() -> None:
    made = retriever(similarity_top_k=3)
    found = made.retrieve("a cold river eel")
    hits = made.index.search("a cold river eel", top_k=3)

    assert found[0].node == NODES[3]
    assert [(one.node_id, one.score) for one in found] == [(hit.id, hit.score) for hit in hits]
    assert {type(one.score) for one in found} == {float}
    assert await made.aretrieve("a cold river eel") == found
    assert {one.node_id: one.node for one in made.retrieve("cat")}["cat"].relationships == SOURCE


def test_top_k_is_the_plans_unless_it_is_given_and_can_be_changed() -> None:
    made = retriever(plan=QueryPlan(top_k=2))

    assert len(made.retrieve("eel")) == 2
    made.similarity_top_k = 3
    assert len(made.retrieve("eel")) == 3
    assert len(retriever(similarity_top_k=99).retrieve("eel")) == 4
    assert retriever(similarity_top_k=0).retrieve("eel") == []
    with pytest.raises(InputError, match="top_k must be 0 or more"):
        retriever(similarity_top_k=-1).retrieve("eel")


async def test_filters_keep_the_search_to_some_nodes() -> None:
    filters = MetadataFilters(filters=[MetadataFilter(key="legs", value=4)])

    for given in (filters, {"legs": 4}):
        made = retriever(filters=given)
        assert set(ids(made.retrieve("eel"))) == set(ids(await made.aretrieve("eel"))) == {"cat", "dog"}
    with pytest.raises(FilterError, match="unknown filter operator"):
        retriever(filters={"legs": {"$near": 4}})


def test_the_plan_may_bring_rerankers() -> None:
    reranker = make_reranker("fake")
    reranker = type(reranker)(EMBEDDING.checkpoint_source("BAAI/bge-reranker-v2-m3"))
    found = retriever(plan=QueryPlan(rerank=(Rerank(reranker=reranker),))).retrieve("river")
    texts = {f"legs: {node.metadata['legs']}\n\n{node.text}": node.node_id for node in NODES}
    ranking = reranker.rank("river", list(texts))

    assert ids(found) == [list(texts.values())[place] for place in ranking.indices]


# ---------------------------------------------------------------------- query bundles


async def test_of_several_strings_the_dense_vector_is_the_mean_and_words_are_the_querys() -> None:
    made, strings = retriever(), ["a warm roof", "wet grass"]
    bundle = QueryBundle("the hen", custom_embedding_strs=strings)
    mean = EMBEDDING.get_agg_embedding_from_queries(strings)
    expected = made.index.search(Query(text="the hen", vectors={"dense": np.array(mean, np.float32)}))

    found = made.retrieve(bundle)

    assert ids(found) == [hit.id for hit in expected]
    assert [one.score for one in found] == pytest.approx([hit.score for hit in expected], abs=1e-6)
    assert ids(found) != ids(made.retrieve("the hen"))
    assert await made.aretrieve(bundle) == found
    assert bundle == QueryBundle("the hen", custom_embedding_strs=strings)


def test_an_embedding_that_a_bundle_brings_is_used() -> None:
    dense = QueryPlan(channels=("dense",), late_interaction=0)
    made = retriever(plan=dense, similarity_top_k=1)
    vector = EMBEDDING.get_query_embedding("a cold river eel")

    assert ids(made.retrieve(QueryBundle("cat", embedding=vector, custom_embedding_strs=["dog"]))) == ["eel"]
    assert ids(made.retrieve(QueryBundle("", embedding=vector))) == ["eel"]
    with pytest.raises(InputError, match="dimensions"):
        made.retrieve(QueryBundle("cat", embedding=[1.0]))


async def test_without_a_query_the_strings_are_read_line_by_line() -> None:
    made = retriever()
    bundle = QueryBundle("", custom_embedding_strs=["cold river", "eel"])
    vector = np.array(EMBEDDING.get_agg_embedding_from_queries(["cold river", "eel"]), np.float32)
    expected = made.index.search(Query(text="cold river\neel", vectors={"dense": vector}))

    assert ids(await made.aretrieve(bundle)) == ids(made.retrieve(bundle)) == [hit.id for hit in expected]
    assert ids(made.retrieve(QueryBundle("eel", custom_embedding_strs=[]))) == ids(made.retrieve("eel"))
    for empty in (QueryBundle(""), QueryBundle("", custom_embedding_strs=[])):
        with pytest.raises(InputError, match="the query is empty"):
            made.retrieve(empty)
        with pytest.raises(InputError, match="the query is empty"):
            await made.aretrieve(empty)


# ---------------------------------------------------------------------- where it searches


async def test_it_is_made_from_nodes_documents_stores_and_indexes() -> None:
    store = BGEVectorStore(EMBEDDING)
    context = StorageContext.from_defaults(vector_store=store)
    index = VectorStoreIndex(NODES, storage_context=context, embed_model=EMBEDDING)
    others = [
        BGEHybridRetriever(store.client),
        BGEHybridRetriever(store),
        BGEHybridRetriever(index),
        await BGEHybridRetriever.afrom_nodes(NODES, BGEVectorStore(EMBEDDING)),
    ]

    for other in others:
        assert other.retrieve("a cold river eel") == retriever().retrieve("a cold river eel")
    assert others[0].index is others[1].index is others[2].index is store.client


def test_another_store_is_refused() -> None:
    index = VectorStoreIndex(NODES, embed_model=MockEmbedding(8))

    with pytest.raises(InputTypeError, match=r"got SimpleVectorStore: BGEHybridRetriever.from_nodes"):
        BGEHybridRetriever(index)


def test_documents_are_nodes_and_can_be_deleted_by_their_id() -> None:
    store = BGEVectorStore(EMBEDDING)
    documents = [Document(text=node.text, id_=node.node_id) for node in NODES]
    made = BGEHybridRetriever.from_documents(documents, store, similarity_top_k=1)

    assert made.retrieve("a cold river eel")[0].node == documents[3]
    store.delete("eel")
    assert ids(made.retrieve("a cold river eel")) != ["eel"]


def test_a_long_node_is_found_as_a_whole_and_by_its_window_on_request() -> None:
    text = " ".join(f"word{number}" for number in range(90)) + " a cold river eel " + "more " * 60
    node = TextNode(id_="long", text=text, metadata={"title": "rivers"}, start_char_idx=1000)
    settings = IndexSettings(window_tokens=40, overlap_tokens=4)
    store = BGEVectorStore(EMBEDDING, settings=settings)
    whole = BGEHybridRetriever.from_nodes([node, *NODES], store).retrieve("a cold river eel")
    part = BGEHybridRetriever(store, windows=True).retrieve("a cold river eel")

    assert sorted(ids(whole)) == ["cat", "dog", "eel", "hen", "long"]
    assert {one.node_id: one.node for one in whole}["long"] == node
    window: Any = {one.node_id: one.node for one in part}["long"]
    assert "a cold river eel" in window.text
    assert "title" not in window.text
    assert len(window.text) < len(text) / 2
    assert window.metadata == node.metadata
    assert text[window.start_char_idx - 1000 : window.end_char_idx - 1000] == window.text
    assert {one.node_id: one.node for one in part}["eel"] == NODES[3]


def test_the_first_window_is_shown_without_the_metadata_before_it() -> None:
    node = TextNode(id_="long", text="eel " + "word " * 90, metadata={"title": "rivers"})
    store = BGEVectorStore(EMBEDDING, settings=IndexSettings(window_tokens=40, overlap_tokens=4))
    made = BGEHybridRetriever.from_nodes([node], store, windows=True)
    window: Any = made.retrieve("title rivers eel")[0].node

    assert window.text.startswith("eel word")
    assert window.start_char_idx == 0


async def test_of_a_long_document_the_window_is_given_too() -> None:
    document = Document(id_="long", text="word " * 90 + "a cold river eel", metadata={"title": "rivers"})
    store = BGEVectorStore(EMBEDDING, settings=IndexSettings(window_tokens=40, overlap_tokens=4))
    made = BGEHybridRetriever.from_documents([document], store, windows=True)

    for found in (made.retrieve("a cold river eel"), await made.aretrieve("a cold river eel")):
        window: Any = found[0].node
        assert isinstance(window, Document)
        assert window.text.endswith("a cold river eel")
        assert len(window.text) < len(document.text) / 2
        assert window.metadata == document.metadata
    assert BGEHybridRetriever(store).retrieve("eel")[0].node == document


async def test_an_index_node_leads_to_what_it_stands_for() -> None:
    other = retriever([TextNode(id_="deep", text="what lies below")])
    nodes = [IndexNode(id_="door", text="a cold river eel", index_id="below", obj=other), NODES[0]]
    made = retriever(nodes, similarity_top_k=1)

    assert ids(made.retrieve("a cold river eel")) == ids(await made.aretrieve("a cold river eel")) == ["deep"]
    assert nodes[0].obj is other


# ---------------------------------------------------------------------- events, deadlines, event loops


async def test_every_retrieval_is_announced_and_reported(events: Recorder, callbacks: Callbacks) -> None:
    made = retriever(callback_manager=callbacks.manager)

    found = made.retrieve("a cold river eel")
    assert events.names("Retrieval") == ["RetrievalStartEvent", "RetrievalEndEvent"]
    assert events.last("RetrievalEndEvent").nodes == found
    await made.aretrieve("a cold river eel")
    assert callbacks.kinds("retrieve") == ["start", "end"] * 2


def test_the_deadline_of_the_embedding_counts(gate: Gate) -> None:
    store = BGEVectorStore(EMBEDDING.model_copy(update={"timeout_s": 0.2}))
    made = BGEHybridRetriever.from_nodes(NODES, store)
    gate.close()

    with pytest.raises(DeadlineError):
        made.retrieve("something new")


async def test_the_event_loop_runs_on_while_the_model_computes(gate: Gate) -> None:
    made = retriever()
    gate.close()
    waiting = asyncio.ensure_future(made.aretrieve(QueryBundle("new", custom_embedding_strs=["to", "it"])))
    await gate.reached()
    gate.open()

    assert len(await waiting) == 4


async def test_nothing_blocks_the_event_loop(pool: ModelPool) -> None:
    blockbuster = pytest.importorskip("blockbuster")

    with blockbuster.blockbuster_ctx():
        made = await BGEHybridRetriever.afrom_nodes(NODES, BGEVectorStore(EMBEDDING), similarity_top_k=1)
        found = await made.aretrieve("a cold river eel")
        several = await made.aretrieve(QueryBundle("eel", custom_embedding_strs=["cold", "river"]))

    assert ids(found) == ids(several) == ["eel"]


def test_an_index_of_plain_documents_gives_text_nodes() -> None:
    index = HybridIndex(EMBEDDING._encoder())
    index.add(["the first", "the second"])

    found = BGEHybridRetriever(index, 1, windows=True).retrieve("second")

    assert isinstance(found[0].node, TextNode)
    assert found[0].text == "the second"
