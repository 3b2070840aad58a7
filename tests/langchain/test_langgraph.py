"""Agents: the retriever as a tool of a LangGraph graph, and the embeddings of LangGraph's own store."""

from __future__ import annotations

from typing import Annotated, Any, TypedDict

import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.documents import Document
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.runnables import RunnableLambda
from langchain_core.tools.retriever import create_retriever_tool

from bge_components import ModelPool
from bge_components.langchain import BGEEmbeddings, BGEHybridRetriever

pytest.importorskip("langgraph")

from langgraph.graph import END, START, StateGraph
from langgraph.graph.message import add_messages
from langgraph.prebuilt import ToolNode, tools_condition
from langgraph.store.memory import InMemoryStore

FAKE: dict[str, Any] = {"model": "x", "backend": "fake"}
TEXTS = ["Paris is the capital of France", "Water boils at one hundred degrees", "A cat sleeps all day"]


class State(TypedDict):
    messages: Annotated[list[BaseMessage], add_messages]


class Asker(BaseChatModel):
    """Calls the tool with what the user said, then answers with what the tool found."""

    @property
    def _llm_type(self) -> str:
        return "asker"

    def _generate(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> ChatResult:
        last = messages[-1]
        if isinstance(last, ToolMessage):
            answer = AIMessage(content=f"I read: {last.content}")
        else:
            call = {"name": "search", "args": {"query": last.content}, "id": "call-1", "type": "tool_call"}
            answer = AIMessage(content="", tool_calls=[call])
        return ChatResult(generations=[ChatGeneration(message=answer)])

    async def _agenerate(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> ChatResult:
        return self._generate(messages)


def agent() -> Any:
    documents = [Document(text, id=str(place)) for place, text in enumerate(TEXTS)]
    retriever = BGEHybridRetriever.from_documents(documents, k=1, **FAKE)
    tool = create_retriever_tool(retriever, "search", "Finds facts.", response_format="content_and_artifact")
    model = Asker()

    def ask(state: State) -> dict[str, Any]:
        return {"messages": [model.invoke(state["messages"])]}

    async def aask(state: State) -> dict[str, Any]:
        return {"messages": [await model.ainvoke(state["messages"])]}

    graph = StateGraph(State)
    graph.add_node("model", RunnableLambda(ask, aask))
    graph.add_node("tools", ToolNode([tool]))
    graph.add_edge(START, "model")
    graph.add_conditional_edges("model", tools_condition, {"tools": "tools", END: END})
    graph.add_edge("tools", "model")
    return graph.compile()


def asked(question: str) -> dict[str, Any]:
    return {"messages": [HumanMessage(question)]}


async def test_an_agent_searches_and_answers() -> None:
    graph = agent()

    for result in (
        graph.invoke(asked("capital of France")),
        await graph.ainvoke(asked("capital of France")),
    ):
        tool_message, answer = result["messages"][-2:]
        assert answer.content == f"I read: {TEXTS[0]}"
        assert [one.id for one in tool_message.artifact] == ["0"]


async def test_what_it_does_is_streamed_step_by_step() -> None:
    steps = [set(step) async for step in agent().astream(asked("boils"), stream_mode="updates")]

    assert steps == [{"model"}, {"tools"}, {"model"}]


async def test_the_retriever_is_a_run_of_the_graph() -> None:
    seen: list[str] = []

    class Recorder(BaseCallbackHandler):
        def on_retriever_start(self, serialized: Any, query: str, **more: Any) -> None:
            assert more["parent_run_id"] is not None
            seen.append(f"{more['name']}: {query}")

    await agent().ainvoke(asked("cat"), config={"callbacks": [Recorder()]})

    assert seen == ["BGEHybridRetriever: cat"]


async def test_nothing_of_ours_blocks_the_event_loop(fresh_pool: ModelPool) -> None:
    blockbuster = pytest.importorskip("blockbuster")
    retriever = BGEHybridRetriever(k=1, **FAKE)
    graph = StateGraph(State)

    async def search(state: State) -> dict[str, Any]:
        [found] = await retriever.ainvoke(state["messages"][-1].content)
        return {"messages": [AIMessage(content=found.page_content)]}

    graph.add_node("search", search)
    graph.add_edge(START, "search")
    compiled = graph.compile()

    with blockbuster.blockbuster_ctx():
        await retriever.index.aadd(TEXTS)
        result = await compiled.ainvoke(asked("cat"))

    assert result["messages"][-1].content == TEXTS[2]


async def test_langgraphs_store_searches_with_our_embeddings() -> None:
    store = InMemoryStore(index={"embed": BGEEmbeddings(**FAKE), "dims": 32, "fields": ["text"]})
    store.put(("facts",), "paris", {"text": TEXTS[0]})
    await store.aput(("facts",), "cat", {"text": TEXTS[2]})

    assert [one.key for one in store.search(("facts",), query="sleeps", limit=1)] == ["cat"]
    found = await store.asearch(("facts",), query="capital", limit=2)
    assert [one.key for one in found] == ["paris", "cat"]
    assert found[0].score is not None
    assert found[0].score > (found[1].score or 0)
