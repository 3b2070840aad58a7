"""The hybrid retriever in LlamaIndex's own query engines, tools, agents and fusion."""

from __future__ import annotations

import inspect
from textwrap import dedent
from typing import Any

import pytest
from llama_index.core.agent import FunctionAgent, ReActAgent
from llama_index.core.base.llms.types import ChatMessage, MessageRole, ToolCallBlock
from llama_index.core.llms import MockLLM
from llama_index.core.llms.mock import MockFunctionCallingLLM
from llama_index.core.node_parser import HierarchicalNodeParser, get_leaf_nodes
from llama_index.core.query_engine import RetrieverQueryEngine
from llama_index.core.retrievers import AutoMergingRetriever, QueryFusionRetriever
from llama_index.core.schema import Document, TextNode
from llama_index.core.storage import StorageContext
from llama_index.core.tools import QueryEngineTool, RetrieverTool

from bge_components.llama_index import (
    BGEEmbedding,
    BGEHybridRetriever,
    BGEReranker,
    BGEVectorStore,
    DeferredEmbedding,
)

# LlamaIndex imports langchain-community, where it is installed, to recognise LangChain's embeddings.
pytestmark = pytest.mark.filterwarnings("ignore:`langchain-community` is being sunset:DeprecationWarning")

OF_LLAMA_INDEX = pytest.mark.filterwarnings("ignore::DeprecationWarning")
"""Its agents use what pydantic and its own workflows want to drop."""

TEXTS = {
    "cat": "a cat sleeps on the warm roof",
    "dog": "a dog runs through the wet grass",
    "hen": "the hen lays one egg a day",
    "eel": "an eel swims up the cold river",
}
QUESTION = "an eel in the cold river"


@pytest.fixture
def retriever(pool: Any) -> BGEHybridRetriever:
    store = BGEVectorStore(BGEEmbedding("fake", backend="fake"))
    nodes = [TextNode(id_=name, text=text) for name, text in TEXTS.items()]
    return BGEHybridRetriever.from_nodes(nodes, store, similarity_top_k=3)


@pytest.fixture
def reranker() -> BGEReranker:
    return BGEReranker("BAAI/bge-reranker-v2-m3", backend="fake", top_n=2)


def engine(retriever: BGEHybridRetriever, reranker: BGEReranker, **settings: Any) -> RetrieverQueryEngine:
    return RetrieverQueryEngine.from_args(
        retriever, llm=MockLLM(), node_postprocessors=[reranker], **settings
    )


async def test_a_query_engine_retrieves_reranks_and_answers(
    retriever: BGEHybridRetriever, reranker: BGEReranker
) -> None:
    made = engine(retriever, reranker)
    response, awaited = made.query(QUESTION), await made.aquery(QUESTION)
    expected = reranker.postprocess_nodes(retriever.retrieve(QUESTION), query_str=QUESTION)

    assert response.source_nodes == awaited.source_nodes == expected
    assert all(node.text in str(response) for node in expected)


async def test_a_streaming_query_engine_has_the_same_sources(
    retriever: BGEHybridRetriever, reranker: BGEReranker
) -> None:
    made = engine(retriever, reranker, streaming=True)
    response: Any = made.query(QUESTION)
    awaited: Any = await made.aquery(QUESTION)

    assert response.source_nodes == awaited.source_nodes
    assert response.source_nodes[0].text in "".join(response.response_gen)
    assert response.source_nodes[0].text in "".join([part async for part in awaited.async_response_gen()])


async def test_tools_answer_when_they_are_called(
    retriever: BGEHybridRetriever, reranker: BGEReranker
) -> None:
    plain = RetrieverTool.from_defaults(retriever, name="farm", description="Knows animals.")
    ranked = RetrieverTool.from_defaults(retriever, node_postprocessors=[reranker])
    answering = QueryEngineTool.from_defaults(
        engine(retriever, reranker), name="farm", description="Answers."
    )

    assert plain.call(QUESTION).content == (await plain.acall(QUESTION)).content
    assert TEXTS["eel"] in plain.call(QUESTION).content
    assert [node.node_id for node in plain.call(QUESTION).raw_output] == [
        node.node_id for node in retriever.retrieve(QUESTION)
    ]
    assert len(ranked.call(QUESTION).raw_output) == len((await ranked.acall(QUESTION)).raw_output) == 2
    assert str(answering.call(input=QUESTION)) == str(await answering.acall(input=QUESTION))
    assert TEXTS["eel"] in str(answering.call(input=QUESTION))


def calls_the_farm_once(messages: list[ChatMessage], **kwargs: Any) -> ChatMessage:
    """Ask the tool, then answer with what it said."""
    said = [message for message in messages if message.role == MessageRole.TOOL]
    if said:
        return ChatMessage(role="assistant", content=f"It says: {said[-1].content}")
    call = ToolCallBlock(tool_call_id="1", tool_name="farm", tool_kwargs={"input": QUESTION})
    return ChatMessage(role="assistant", blocks=[call])


@OF_LLAMA_INDEX
async def test_a_function_calling_agent_uses_the_retriever(retriever: BGEHybridRetriever) -> None:
    tool = RetrieverTool.from_defaults(retriever, name="farm", description="Knows animals.")
    agent = FunctionAgent(
        tools=[tool],
        llm=MockFunctionCallingLLM(response_generator=calls_the_farm_once),
        streaming=False,
    )

    answer = await agent.run("Where is the eel?")

    assert TEXTS["eel"] in str(answer)
    assert [call.tool_name for call in answer.tool_calls] == ["farm"]


class Reasoning(MockLLM):
    """Acts once, then answers with what it observed."""

    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> Any:
        response = super().complete(prompt, formatted=True)
        observed = prompt.rsplit("Observation: ", 1)
        if len(observed) > 1 and "eel swims" in observed[-1]:
            response.text = f"Thought: I can answer.\nAnswer: {observed[-1].strip()}"
        else:
            response.text = f'Thought: I look.\nAction: farm\nAction Input: {{"input": "{QUESTION}"}}'
        return response


@OF_LLAMA_INDEX
async def test_a_reasoning_agent_uses_the_query_engine(
    retriever: BGEHybridRetriever, reranker: BGEReranker
) -> None:
    tool = QueryEngineTool.from_defaults(engine(retriever, reranker), name="farm", description="Answers.")
    agent = ReActAgent(tools=[tool], llm=Reasoning(), streaming=False)

    answer = await agent.run("Where is the eel?")

    assert "eel swims" in str(answer)
    assert [call.tool_name for call in answer.tool_calls] == ["farm"]


@pytest.mark.parametrize("mode", ["reciprocal_rerank", "relative_score", "dist_based_score", "simple"])
async def test_fusion_asks_it_from_a_second_event_loop(retriever: BGEHybridRetriever, mode: str) -> None:
    fusion = QueryFusionRetriever(
        [retriever, retriever], llm=MockLLM(), num_queries=1, mode=mode, similarity_top_k=3, use_async=True
    )

    found = fusion.retrieve(QUESTION)
    awaited = await fusion.aretrieve(QUESTION)

    assert found[0].node_id == "eel"
    assert [node.node_id for node in awaited] == [node.node_id for node in found]
    assert len({node.node_id for node in found}) == len(found) == 3


def test_leaves_are_merged_into_their_parents(pool: Any) -> None:
    parser = HierarchicalNodeParser.from_defaults(chunk_sizes=[64, 16], chunk_overlap=0)
    nodes = parser.get_nodes_from_documents([Document(text=". ".join(TEXTS.values()))])
    context = StorageContext.from_defaults()
    context.docstore.add_documents(nodes)
    store = BGEVectorStore(BGEEmbedding("fake", backend="fake"))
    leaves = BGEHybridRetriever.from_nodes(get_leaf_nodes(nodes), store, similarity_top_k=9)

    merged = AutoMergingRetriever(leaves, context).retrieve(QUESTION)

    assert len(get_leaf_nodes(nodes)) > 1
    assert [node.node_id for node in merged] == [nodes[0].node_id]


def examples() -> list[Any]:
    documented = [
        BGEHybridRetriever,
        BGEHybridRetriever.from_documents,
        BGEVectorStore,
        BGEVectorStore.from_index,
        DeferredEmbedding,
    ]
    return [
        pytest.param(
            inspect.cleandoc(one.__doc__ or "").split("```python\n")[1].split("```")[0], id=one.__qualname__
        )
        for one in documented
    ]


@pytest.mark.parametrize("example", examples())
def test_the_examples_run(example: str, mini_pool: Any) -> None:
    exec(compile(dedent(example), "<example>", "exec"), {})
