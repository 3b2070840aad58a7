"""Callers that each send one text at a time, as threads or as tasks of an event loop, and how long each waited."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import count

Ask = Callable[[str], object]
AskAsync = Callable[[str], Awaitable[object]]


@dataclass(frozen=True, kw_only=True)
class Traffic:
    """What callers saw.

    Attributes:
        latencies_s: Seconds that each call took, caller after caller.
        elapsed_s: From the first call's beginning to the last one's end.
    """

    latencies_s: tuple[float, ...]
    elapsed_s: float

    def tokens_per_s(self, lengths: Sequence[int]) -> float:
        """Give the rate in tokens, where the callers took texts of these lengths in turn, over and over."""
        rounds, rest = divmod(len(self.latencies_s), len(lengths))
        return (rounds * sum(lengths) + sum(lengths[:rest])) / self.elapsed_s


def by_threads(ask: Ask, texts: Sequence[str], *, callers: int, seconds: float) -> Traffic:
    """Let threads ask for the texts in turn.

    Args:
        ask: Called with one text; blocks until the answer is there.
        texts: Handed out in this order, over and over, whoever asks next.
        callers: Number of threads.
        seconds: No call but a caller's first begins later than this; the running ones end.
    """
    handed_out = count()  # its next() is atomic
    started = time.perf_counter()

    def one_caller() -> list[float]:
        waited: list[float] = []
        while (began := time.perf_counter()) < started + seconds or not waited:
            ask(texts[next(handed_out) % len(texts)])
            waited.append(time.perf_counter() - began)
        return waited

    with ThreadPoolExecutor(callers) as threads:
        running = [threads.submit(one_caller) for _ in range(callers)]
        return _joined((one.result() for one in running), started)


def by_tasks(ask: AskAsync, texts: Sequence[str], *, callers: int, seconds: float) -> Traffic:
    """Let tasks of one event loop ask for the texts in turn; see `by_threads`."""
    return asyncio.run(_by_tasks(ask, texts, callers, seconds))


def at_a_rate(ask: AskAsync, texts: Sequence[str], *, every_s: float, seconds: float) -> Traffic:
    """Let calls arrive at a steady rate, however long the ones before take, as those of a service's users do.

    A call's wait counts from when it was due: what holds up the event loop is part of it.
    """
    return asyncio.run(_at_a_rate(ask, texts, every_s, seconds))


async def _by_tasks(ask: AskAsync, texts: Sequence[str], callers: int, seconds: float) -> Traffic:
    handed_out = count()
    started = time.perf_counter()

    async def one_caller() -> list[float]:
        waited: list[float] = []
        while (began := time.perf_counter()) < started + seconds or not waited:
            await ask(texts[next(handed_out) % len(texts)])
            waited.append(time.perf_counter() - began)
        return waited

    return _joined(iter(await asyncio.gather(*(one_caller() for _ in range(callers)))), started)


async def _at_a_rate(ask: AskAsync, texts: Sequence[str], every_s: float, seconds: float) -> Traffic:
    started = time.perf_counter()

    async def one_call(text: str, due: float) -> float:
        await ask(text)
        return time.perf_counter() - due

    calls = []
    for number in range(max(1, int(seconds / every_s))):
        due = started + number * every_s
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        calls.append(asyncio.create_task(one_call(texts[number % len(texts)], due)))
    return _joined(iter([await asyncio.gather(*calls)]), started)


def _joined(callers: Iterator[list[float]], started: float) -> Traffic:
    waited = [latency for caller in callers for latency in caller]
    return Traffic(latencies_s=tuple(waited), elapsed_s=time.perf_counter() - started)
