"""Runs work that is written once as steps, for callers that block and for callers that await.

A piece of work is a generator. Between its yields it runs plain code (tokenising, array work); each yield hands
out a `concurrent.futures.Future` and gets its result back. `drive` runs the code on the caller's thread and
blocks on the futures. `adrive` runs the code on threads of the given executor, so that the event loop never
tokenises and never waits for a model to load; it works from any loop.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Generator
from concurrent.futures import Executor, Future, wait
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from ..errors import PoolClosedError, PoolError
from .requests import Waiting

log = logging.getLogger(__name__)
T = TypeVar("T")
Steps = Generator["Future[Any]", Any, T]

_NOTHING: Future[Any] = Future()
_NOTHING.set_result(None)
"""What steps that have not begun wait for."""


@dataclass(frozen=True)
class _Finished(Generic[T]):
    value: T


def drive(steps: Steps[T]) -> T:
    """Run steps to their end on this thread, blocking while a future is awaited."""
    awaited: Future[Any] = _NOTHING
    try:
        while True:
            outcome = _advance(steps, awaited)
            if isinstance(outcome, _Finished):
                return outcome.value
            awaited = outcome
            if not awaited.done():
                wait([awaited])
    except BaseException:  # an interrupt while waiting: let go of everything
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
        self._parked = [_NOTHING]  # whoever takes it out moves the steps, or closes them
        self._submit()

    def abandon(self) -> None:
        """Have the steps closed, now or when the one that runs has ended; nothing if they have landed."""
        if self.landed.cancel():
            for awaited in tuple(self._parked):
                awaited.cancel()  # which submits a step, and that one closes them

    def _submit(self, _: Future[Any] = _NOTHING) -> None:
        try:
            self._executor.submit(self._move)
        except BaseException as error:  # it may be in the executor's queue all the same
            self._caller.fail(_not_submitted(error))
            self._move()
            if not isinstance(error, Exception):
                raise

    def _move(self) -> None:
        """Run a step on a thread of the executor; the first two where a model that is there was asked for.

        Longer stretches would keep the thread from other calls until a long list is through.
        """
        try:
            awaited = self._parked.pop()
        except IndexError:
            return
        if self.landed.done():
            _discard(awaited)
            self._close()
            return
        try:
            outcome = _advance(self._steps, awaited)
            if awaited is _NOTHING and isinstance(outcome, Future) and outcome.done():
                outcome = _advance(self._steps, outcome)
        except BaseException as error:  # it belongs to whoever awaits
            self._caller.fail(error)
            self._close()
            return
        if isinstance(outcome, Future):
            self._park(outcome)
        else:
            self._caller.settle(outcome.value)

    def _park(self, awaited: Future[Any]) -> None:
        self._parked.append(awaited)
        if self.landed.done():  # whoever abandoned the flight found nothing here
            awaited.cancel()
        awaited.add_done_callback(self._submit)

    def _close(self) -> None:
        try:
            self._steps.close()
        except Exception:
            log.exception("the steps of a call that is over did not close")


def _advance(steps: Steps[T], awaited: Future[Any]) -> Future[Any] | _Finished[T]:
    try:
        error = awaited.exception()
        return steps.throw(error) if error is not None else steps.send(awaited.result())
    except StopIteration as stop:
        return _Finished(stop.value)


def _not_submitted(error: BaseException) -> PoolError:
    """Say why a step could not be submitted: an executor that is shut down raises what one without threads does."""
    if isinstance(error, RuntimeError) and "shutdown" in str(error):
        failure: PoolError = PoolClosedError("the pool was closed while this call was under way")
    else:
        failure = PoolError(f"no thread could be had for the next step of this call: {error!r}")
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
