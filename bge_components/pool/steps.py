"""Runs work that is written once as steps, for callers that block and for callers that await.

A piece of work is a generator. Between its yields it runs plain code (tokenising, array work); each yield hands
out a `concurrent.futures.Future` and gets its result back. `drive` runs the code on the caller's thread and
blocks on the futures. `adrive` runs the code on a thread of the given executor and awaits the futures, so that
the event loop never tokenises, never takes a lock and never waits for a model to load; it works from any loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from concurrent.futures import Executor, Future, wait
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, TypeVar

from ..errors import PoolClosedError

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
            wait([awaited])
    except BaseException:  # an interrupt while waiting: let go of everything
        if awaited is not None:
            _discard(awaited)
        steps.close()
        raise


async def adrive(steps: Steps[T], executor: Executor) -> T:
    """Run steps to their end without blocking the event loop.

    Args:
        steps: The work; its code runs on threads of `executor`, one step at a time.
        executor: Where the code between two yields runs.

    If the caller is cancelled, the future that is awaited is cancelled and the steps are closed, so that
    whatever they hold is released.
    """
    awaited: Future[Any] | None = None
    while True:
        moving = _submitted(executor, steps, awaited)
        try:
            outcome = await asyncio.wrap_future(moving)
        except asyncio.CancelledError:
            moving.add_done_callback(partial(_abandon, steps, awaited))
            raise
        if isinstance(outcome, _Finished):
            value: T = outcome.value
            return value
        awaited = outcome
        try:
            await _settled(awaited)
        except asyncio.CancelledError:
            _discard(awaited)
            _close_elsewhere(executor, steps)
            raise


def _advance(steps: Steps[T], awaited: Future[Any] | None) -> Future[Any] | _Finished[T]:
    try:
        if awaited is None:
            return next(steps)
        error = awaited.exception()
        return steps.throw(error) if error is not None else steps.send(awaited.result())
    except StopIteration as stop:
        return _Finished(stop.value)


def _submitted(executor: Executor, steps: Steps[T], awaited: Future[Any] | None) -> Future[Any]:
    try:
        return executor.submit(_advance, steps, awaited)
    except RuntimeError as error:  # shut down: the pool was closed meanwhile
        if awaited is not None:
            _discard(awaited)
        steps.close()
        raise PoolClosedError("the pool was closed while this call was under way") from error


def _close_elsewhere(executor: Executor, steps: Steps[Any]) -> None:
    try:
        executor.submit(steps.close)
    except RuntimeError:  # shut down
        steps.close()


async def _settled(future: Future[Any]) -> None:
    """Wait until a future has a result, an error or was cancelled; raise nothing of it."""
    mirror = asyncio.wrap_future(future)
    await asyncio.wait([mirror])
    if not mirror.cancelled():
        mirror.exception()  # seen: the steps get it from the future itself


def _abandon(steps: Steps[Any], awaited: Future[Any] | None, moving: Future[Any]) -> None:
    """Close steps whose caller was cancelled while they were to move on; let go of what they held or were given."""
    if moving.cancelled() and awaited is not None:
        _discard(awaited)  # its result never reached the steps
    elif not moving.cancelled() and moving.exception() is None and isinstance(moving.result(), Future):
        _discard(moving.result())
    steps.close()


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
