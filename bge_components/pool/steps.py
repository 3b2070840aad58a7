"""Runs work that is written once as steps, for callers that block and for callers that await.

A piece of work is a generator. Between its yields it runs plain code (tokenising, array work); each yield hands
out a `concurrent.futures.Future` and gets its result back. `drive` runs the code on the caller's thread and
blocks on the futures. `adrive` runs the code on threads of the given executor, so that the event loop never
tokenises and never waits for a model to load; it works from any loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from concurrent.futures import Executor, Future, wait
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from ..errors import PoolClosedError
from .requests import Waiting

T = TypeVar("T")
Steps = Generator["Future[Any]", Any, T]


@dataclass(frozen=True)
class _Finished(Generic[T]):
    value: T


def drive(steps: Steps[T]) -> T:
    """Run steps to their end on this thread, blocking while a future is awaited."""
    awaited: Future[Any] | None = None
    try:
        while True:
            outcome = _advance(steps, awaited)
            if isinstance(outcome, _Finished):
                return outcome.value
            awaited = outcome
            if not awaited.done():
                wait([awaited])
    except BaseException:  # an interrupt while waiting: let go of everything
        if awaited is not None:
            _discard(awaited)
        steps.close()
        raise


async def adrive(steps: Steps[T], executor: Executor) -> T:
    """Run steps to their end without blocking the event loop, which is woken once, by the end.

    Args:
        steps: The work; its code runs on threads of `executor`, one step at a time.
        executor: Where the code between two yields runs.

    If the caller is cancelled, the future that is awaited is cancelled and the steps are closed, so that
    whatever they hold is released.
    """
    flight = _Flight(steps, executor)
    try:
        return await asyncio.wrap_future(flight.landed)
    except BaseException:  # cancelled, or the event loop goes away
        flight.abandon()
        raise


class _Flight(Generic[T]):
    """Steps on their way over the threads of an executor: the future that they wait for submits the next step.

    Attributes:
        landed: What came of them.
    """

    def __init__(self, steps: Steps[T], executor: Executor) -> None:
        """Submit the first step."""
        self._caller: Waiting[T] = Waiting("a call", None)
        self.landed = self._caller.future
        self._steps = steps
        self._executor = executor
        self._parked: list[Future[Any]] = []  # whoever takes it out may move or close the steps
        self._submit(None)

    def abandon(self) -> None:
        """Let go of everything, now or when the step that runs has ended; nothing if they have landed."""
        if not self.landed.cancel() or (awaited := self._taken()) is None:
            return
        _discard(awaited)
        try:
            self._executor.submit(self._steps.close)
        except RuntimeError:  # shut down
            self._steps.close()

    def _submit(self, awaited: Future[Any] | None) -> None:
        try:
            self._executor.submit(self._move, awaited)
        except BaseException as error:
            self._caller.fail(_as_closed(error))
            self._close(awaited)
            if not isinstance(error, Exception):
                raise

    def _move(self, awaited: Future[Any] | None) -> None:
        """Run a step on a thread of the executor; the first two where a model that is there was asked for.

        Longer stretches would keep the thread from other calls until a long list is through.
        """
        if self.landed.cancelled():
            self._close(awaited)
            return
        try:
            outcome = _advance(self._steps, awaited)
            if awaited is None and isinstance(outcome, Future) and outcome.done():
                outcome = _advance(self._steps, outcome)
        except BaseException as error:  # it belongs to whoever awaits
            self._caller.fail(error)
            self._steps.close()
            return
        if isinstance(outcome, Future):
            self._park(outcome)
        else:
            self._caller.settle(outcome.value)

    def _park(self, awaited: Future[Any]) -> None:
        self._parked.append(awaited)
        awaited.add_done_callback(self._resume)
        if self.landed.cancelled():  # perhaps while there was nothing to abandon
            self.abandon()

    def _resume(self, awaited: Future[Any]) -> None:
        if self._taken() is not None:
            self._submit(awaited)

    def _taken(self) -> Future[Any] | None:
        try:
            return self._parked.pop()
        except IndexError:
            return None

    def _close(self, awaited: Future[Any] | None) -> None:
        if awaited is not None:
            _discard(awaited)
        self._steps.close()


def _advance(steps: Steps[T], awaited: Future[Any] | None) -> Future[Any] | _Finished[T]:
    try:
        if awaited is None:
            return next(steps)
        error = awaited.exception()
        return steps.throw(error) if error is not None else steps.send(awaited.result())
    except StopIteration as stop:
        return _Finished(stop.value)


def _as_closed(error: BaseException) -> BaseException:
    """Say what it means that an executor takes nothing more; give other errors as they are."""
    if not isinstance(error, RuntimeError):
        return error
    failure = PoolClosedError("the pool was closed while this call was under way")
    failure.__cause__ = error
    return failure


def _discard(future: Future[Any]) -> None:
    """Cancel a future; if its result is there or comes all the same and can be released, release it."""
    if not future.cancel():
        future.add_done_callback(_release_result)


def _release_result(future: Future[Any]) -> None:
    if future.cancelled() or future.exception() is not None:
        return
    release = getattr(future.result(), "release", None)
    if release is not None:
        release()
