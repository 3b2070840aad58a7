from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import pytest
from langchain_core.callbacks import AsyncCallbackHandler, BaseCallbackHandler, CallbackManager
from langchain_core.documents import Document
from langchain_core.runnables import RunnableLambda

from bge_components import ModelPool
from bge_components.errors import InputTypeError
from bge_components.langchain import BGEReranker

DOCUMENTS = [Document(page_content=text) for text in ("Paris is in France.", "Water boils.")]


@dataclass
class Seen:
    events: list[tuple[str, Any]] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    parents: list[UUID | None] = field(default_factory=list)

    def start(self, inputs: Any, **more: Any) -> None:
        self.events.append(("start", inputs))
        self.names.append(more["name"])
        self.parents.append(more["parent_run_id"])

    @property
    def kinds(self) -> list[str]:
        return [kind for kind, _ in self.events]


class Recorder(BaseCallbackHandler):
    def __init__(self) -> None:
        self.seen = Seen()

    def on_chain_start(self, serialized: Any, inputs: Any, **more: Any) -> None:
        self.seen.start(inputs, **more)

    def on_chain_end(self, outputs: Any, **more: Any) -> None:
        self.seen.events.append(("end", outputs))

    def on_chain_error(self, error: BaseException, **more: Any) -> None:
        self.seen.events.append(("error", error))


class AsyncRecorder(AsyncCallbackHandler):
    def __init__(self) -> None:
        self.seen = Seen()

    async def on_chain_start(self, serialized: Any, inputs: Any, **more: Any) -> None:
        self.seen.start(inputs, **more)

    async def on_chain_end(self, outputs: Any, **more: Any) -> None:
        self.seen.events.append(("end", outputs))

    async def on_chain_error(self, error: BaseException, **more: Any) -> None:
        self.seen.events.append(("error", error))


@pytest.fixture
def reranker() -> BGEReranker:
    return BGEReranker(model="mini", top_n=1)


def test_a_call_is_a_run_with_query_and_documents(reranker: BGEReranker) -> None:
    recorder = Recorder()

    kept = reranker.compress_documents(DOCUMENTS, "France", callbacks=[recorder])

    assert recorder.seen.names == ["BGEReranker"]
    assert recorder.seen.events == [
        ("start", {"query": "France", "documents": DOCUMENTS}),
        ("end", {"documents": kept}),
    ]


@pytest.mark.parametrize("recorder", [Recorder(), AsyncRecorder()], ids=["handler", "async_handler"])
async def test_an_async_call_is_a_run_too(reranker: BGEReranker, recorder: Any) -> None:
    kept = await reranker.acompress_documents(DOCUMENTS, "France", callbacks=[recorder])

    assert recorder.seen.names == ["BGEReranker"]
    assert recorder.seen.events == [
        ("start", {"query": "France", "documents": DOCUMENTS}),
        ("end", {"documents": kept}),
    ]


def test_the_run_is_a_child_of_the_callers_run(reranker: BGEReranker) -> None:
    recorder = Recorder()
    parent = CallbackManager.configure([recorder]).on_chain_start(None, {}, name="chain")

    reranker.compress_documents(DOCUMENTS, "France", callbacks=parent.get_child())

    assert recorder.seen.names == ["chain", "BGEReranker"]
    assert recorder.seen.parents == [None, parent.run_id]


async def test_called_from_a_runnable_the_run_is_its_child(reranker: BGEReranker) -> None:
    recorder, twin = Recorder(), AsyncRecorder()
    step = RunnableLambda(
        lambda query: reranker.compress_documents(DOCUMENTS, query),
        lambda query: reranker.acompress_documents(DOCUMENTS, query),
        name="step",
    )

    step.invoke("France", config={"callbacks": [recorder]})
    await step.ainvoke("France", config={"callbacks": [twin]})

    assert recorder.seen.names == twin.seen.names == ["step", "BGEReranker"]
    assert None not in (recorder.seen.parents[1], twin.seen.parents[1])


@pytest.mark.parametrize("documents", [[], DOCUMENTS], ids=["no_documents", "documents"])
async def test_every_start_has_its_end(reranker: BGEReranker, documents: list[Document]) -> None:
    recorder, twin = Recorder(), AsyncRecorder()

    reranker.compress_documents(documents, "France", callbacks=[recorder])
    await reranker.acompress_documents(documents, "France", callbacks=[twin])

    assert recorder.seen.kinds == twin.seen.kinds == ["start", "end"]


async def test_an_error_ends_the_run_and_reaches_the_caller(reranker: BGEReranker) -> None:
    recorder, twin = Recorder(), AsyncRecorder()

    with pytest.raises(InputTypeError) as raised:
        reranker.compress_documents(DOCUMENTS, 3, callbacks=[recorder])  # type: ignore[arg-type]
    with pytest.raises(InputTypeError) as raised_async:
        await reranker.acompress_documents(DOCUMENTS, 3, callbacks=[twin])  # type: ignore[arg-type]

    assert recorder.seen.events[1:] == [("error", raised.value)]
    assert twin.seen.events[1:] == [("error", raised_async.value)]


async def test_a_cancelled_call_ends_its_run_with_the_cancellation(pool: ModelPool) -> None:
    recorder = AsyncRecorder()
    slow = BGEReranker(model="mini", top_n=None)
    pages = [Document(page_content=f"page {n} " + "water boils " * 100) for n in range(500)]

    call = asyncio.ensure_future(slow.acompress_documents(pages, "France", callbacks=[recorder]))
    while not any(model.leases for model in pool.stats().models):
        await asyncio.sleep(0)
    call.cancel()

    with pytest.raises(asyncio.CancelledError):
        await call
    assert recorder.seen.kinds == ["start", "error"]
    assert isinstance(recorder.seen.events[1][1], asyncio.CancelledError)


def test_without_callbacks_nothing_is_needed(reranker: BGEReranker) -> None:
    assert len(reranker.compress_documents(DOCUMENTS, "France", callbacks=None)) == 1
