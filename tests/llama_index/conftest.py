from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from llama_index.core.callbacks import CallbackManager
from llama_index.core.callbacks.base_handler import BaseCallbackHandler
from llama_index.core.instrumentation import get_dispatcher
from llama_index.core.instrumentation.event_handlers import BaseEventHandler
from llama_index.core.instrumentation.events import BaseEvent

from bge_components import ModelPool, PoolSettings, use_pool
from bge_components.backends.fake import FakeModel


@pytest.fixture
def pool() -> Iterator[ModelPool]:
    with ModelPool(PoolSettings(devices=("cpu",))) as pool, use_pool(pool):
        yield pool


@pytest.fixture(scope="module")
def mini_pool() -> Iterator[ModelPool]:
    """One pool for all tests of a module that use the packaged checkpoint: it is loaded once."""
    with ModelPool(PoolSettings(devices=("cpu",))) as pool, use_pool(pool):
        yield pool


class Recorder(BaseEventHandler):
    seen: list[Any] = []  # noqa: RUF012  (pydantic copies it)

    @classmethod
    def class_name(cls) -> str:
        return "Recorder"

    def handle(self, event: BaseEvent, **kwargs: Any) -> None:
        self.seen.append(event)

    def names(self, part: str) -> list[str]:
        return [event.class_name() for event in self.seen if part in event.class_name()]

    def last(self, name: str) -> Any:
        return next(event for event in reversed(self.seen) if event.class_name() == name)


@pytest.fixture
def events() -> Iterator[Recorder]:
    recorder = Recorder()
    root = get_dispatcher()
    root.add_event_handler(recorder)
    yield recorder
    root.event_handlers.remove(recorder)


class Callbacks(BaseCallbackHandler):
    """Keeps (kind, "start" or "end", payload) of every callback."""

    def __init__(self) -> None:
        super().__init__([], [])
        self.seen: list[tuple[str, str, dict[str, Any]]] = []

    @property
    def manager(self) -> CallbackManager:
        return CallbackManager([self])

    def kinds(self, kind: str) -> list[str]:
        return [moment for name, moment, _ in self.seen if name == kind]

    def on_event_start(self, event_type: Any, payload: Any = None, event_id: str = "", **kwargs: Any) -> str:
        self.seen.append((event_type.value, "start", payload or {}))
        return event_id

    def on_event_end(self, event_type: Any, payload: Any = None, event_id: str = "", **kwargs: Any) -> None:
        self.seen.append((event_type.value, "end", payload or {}))

    def start_trace(self, trace_id: str | None = None) -> None:
        pass

    def end_trace(self, trace_id: str | None = None, trace_map: Any = None) -> None:
        pass


@pytest.fixture
def callbacks() -> Callbacks:
    return Callbacks()


class Gate:
    """Holds every forward pass of the fake model while it is closed; a loop that is blocked never opens it."""

    def __init__(self) -> None:
        self._open = threading.Event()
        self._open.set()
        self._reached = threading.Event()

    def close(self) -> None:
        self._reached.clear()
        self._open.clear()

    def open(self) -> None:
        self._open.set()

    def pass_through(self) -> None:
        self._reached.set()
        if not self._open.wait(20):
            raise RuntimeError("nobody opened the gate: the event loop was blocked")

    async def reached(self) -> None:
        while not self._reached.is_set():
            await asyncio.sleep(0.001)


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:
    gate = Gate()
    run = FakeModel.run

    def gated(self: FakeModel, *args: Any, **kwargs: Any) -> Any:
        gate.pass_through()
        return run(self, *args, **kwargs)

    monkeypatch.setattr(FakeModel, "run", gated)
    yield gate
    gate.open()
