"""The packaged checkpoint in LlamaIndex's own index, retriever and query engine."""

from __future__ import annotations

from typing import Any

import pytest
from llama_index.core import Settings, VectorStoreIndex
from llama_index.core.llms import MockLLM
from llama_index.core.query_engine import RetrieverQueryEngine
from llama_index.core.retrievers import QueryFusionRetriever
from llama_index.core.schema import TextNode

from bge_components import ModelPool
from bge_components.llama_index import BGEEmbedding, BGEReranker, RerankedNode

# LlamaIndex imports langchain-community, where it is installed, to recognise LangChain's embeddings.
pytestmark = pytest.mark.filterwarnings("ignore:`langchain-community` is being sunset:DeprecationWarning")

PASSAGES = [
    "The Great Wall of China is more than twenty thousand kilometres long.",
    "Photosynthesis turns light, water and carbon dioxide into sugar and oxygen.",
    "The mitochondrion makes most of the chemical energy of a cell.",
    "Mount Everest, 8,849 metres high, is the highest mountain above sea level.",
    "A violin has four strings, usually tuned in perfect fifths.",
    "The Amazon carries more water than any other river.",
    "Plants take up nitrogen through their roots, mostly as nitrate.",
    "K2 is the second highest mountain, after Everest.",
]
QUESTION = "How do plants make food from sunlight?"


@pytest.fixture(scope="module")
def index(mini_pool: ModelPool) -> VectorStoreIndex:
    nodes = [TextNode(text=text, id_=str(place)) for place, text in enumerate(PASSAGES)]
    return VectorStoreIndex(nodes, embed_model=BGEEmbedding("mini"))


@pytest.fixture
def engine(index: VectorStoreIndex) -> RetrieverQueryEngine:
    return RetrieverQueryEngine.from_args(
        index.as_retriever(similarity_top_k=5),
        llm=MockLLM(),
        node_postprocessors=[BGEReranker("mini", top_n=2, keep_retrieval_score=True)],
    )


async def test_a_query_engine_recalls_and_reranks(engine: RetrieverQueryEngine) -> None:
    response = engine.query(QUESTION)

    assert [type(node) for node in response.source_nodes] == [RerankedNode] * 2
    assert response.source_nodes[0].node_id == "1"
    assert PASSAGES[1] in str(response)
    assert "retrieval_score" not in str(response)

    awaited = await engine.aquery(QUESTION)
    assert [node.node_id for node in awaited.source_nodes] == [node.node_id for node in response.source_nodes]
    assert [node.score for node in awaited.source_nodes] == pytest.approx(
        [node.score for node in response.source_nodes], abs=1e-4
    )


def test_embedding_and_reranker_share_one_copy_of_the_weights(
    engine: RetrieverQueryEngine, mini_pool: ModelPool
) -> None:
    engine.query(QUESTION)
    stats = mini_pool.stats()

    assert stats.loads == 1
    assert len(stats.models) == 1
    assert stats.models[0].leases == 0


def test_the_settings_of_llama_index_take_it(mini_pool: ModelPool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Settings, "_embed_model", None)
    Settings.embed_model = BGEEmbedding("mini")

    index = VectorStoreIndex([TextNode(text=text) for text in PASSAGES[:3]])

    assert index.as_retriever(similarity_top_k=1).retrieve(QUESTION)[0].text == PASSAGES[1]


async def test_fusion_finds_a_reranked_node_and_its_twin_to_be_the_same(index: VectorStoreIndex) -> None:
    retriever = index.as_retriever(similarity_top_k=4)
    fusion = QueryFusionRetriever(
        [retriever, retriever], llm=MockLLM(), num_queries=1, similarity_top_k=8, use_async=True
    )

    found = BGEReranker("mini", top_n=None).postprocess_nodes(
        await fusion.aretrieve(QUESTION), query_str=QUESTION
    )
    found_in_second_loop = fusion.retrieve(QUESTION)

    assert sorted(node.node_id for node in found) == sorted({node.node_id for node in found_in_second_loop})
    assert {node.node.hash for node in found} == {node.node.hash for node in retriever.retrieve(QUESTION)}


def test_long_documents_are_split_and_found_without_the_network(
    mini_pool: ModelPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    import socket

    from llama_index.core import Document
    from llama_index.core.node_parser import SentenceSplitter

    def refuse(*args: Any, **kwargs: Any) -> None:
        raise AssertionError("something asked the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    index = VectorStoreIndex.from_documents(
        [Document(text=" ".join(PASSAGES))],
        transformations=[SentenceSplitter(chunk_size=60, chunk_overlap=0)],
        embed_model=BGEEmbedding("mini"),
    )

    assert "Photosynthesis" in index.as_retriever(similarity_top_k=1).retrieve(QUESTION)[0].text
