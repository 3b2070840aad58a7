"""Documents that are taken in and queries that arrive, in one process: some seconds of either or of both."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median

from ...encoders import Encoder
from ...errors import BGEError
from .traffic import Traffic, at_a_rate, by_tasks

Documents = Callable[[list[str]], object]

_SHARE = 0.1
_FASTEST_S = 0.02
_INGESTERS = 2
_TRIAL_S = 0.5
_BATCHES = 2
"""Of documents, before a window begins and within it."""
_PATIENCE_S = 120.0
"""They take no longer, or something is wrong."""


class StalledError(BGEError):
    """Documents were given to be computed, and nothing was."""


@dataclass(frozen=True, kw_only=True)
class Window:
    """Some seconds of work.

    Attributes:
        elapsed_s: How many.
        latencies_s: Of the queries; empty where nobody asked.
        bulk_tokens: Tokens of documents that were computed.
        batch_s: Seconds that a forward pass took, in the mean.
    """

    elapsed_s: float
    latencies_s: tuple[float, ...]
    bulk_tokens: int
    batch_s: float


class Mixing:
    """Queries at a modest rate through an encoder, documents as fast as they go through a framework's class."""

    def __init__(
        self,
        encoder: Encoder,
        take_in: Documents,
        queries: Sequence[str],
        query_tokens: Sequence[int],
        documents: list[str],
    ) -> None:
        """Set up.

        Args:
            encoder: Asked for one query at a time.
            take_in: Embeds documents, in the pool of the encoder.
            queries: Asked for in turn.
            query_tokens: Their tokens.
            documents: Given to one call of `take_in`, over and over.
        """
        self._encoder = encoder
        self._take_in = take_in
        self._queries = queries
        self._query_tokens = query_tokens
        self._documents = documents
        trial = self._trial()
        self.every_s = max(_FASTEST_S, median(trial.latencies_s) / _SHARE)
        """Seconds from query to query: the device is free for nine in ten of them."""

    def window(self, seconds: float, *, asked: bool, bulk: bool) -> Window:
        """Work for some seconds, with queries (`asked`), documents (`bulk`) or both; until documents were computed.

        Raises:
            StalledError: If none are, after a long time; an error of those who take them in is raised as it is.
        """
        with self._ingest() if bulk else _nothing() as running:
            before, started = self._counts(), time.perf_counter()
            latencies = self._wait_or_ask(seconds, asked=asked)
            if bulk:  # a pass may take longer than all the seconds
                self._wait_for(_BATCHES, before[0] + len(latencies), running)
            elapsed, after = time.perf_counter() - started, self._counts()
        batches, busy_s, tokens = (late - early for early, late in zip(before, after))
        return Window(
            elapsed_s=elapsed,
            latencies_s=latencies,
            bulk_tokens=max(0, round(tokens) - self._asked_tokens(len(latencies))),
            batch_s=busy_s / max(1, batches),
        )

    def _trial(self) -> Traffic:
        self._take_in(self._documents[:1])
        return by_tasks(self._ask, self._queries, callers=1, seconds=_TRIAL_S)

    async def _ask(self, text: str) -> None:
        await self._encoder.aencode([text], "query")

    def _wait_or_ask(self, seconds: float, *, asked: bool) -> tuple[float, ...]:
        if asked:
            traffic = at_a_rate(self._ask, self._queries, every_s=self.every_s, seconds=seconds)
            return traffic.latencies_s
        time.sleep(seconds)
        return ()

    def _asked_tokens(self, queries: int) -> int:
        lengths = self._query_tokens
        rounds, rest = divmod(queries, len(lengths))
        return rounds * sum(lengths) + sum(lengths[:rest])

    def _counts(self) -> tuple[float, float, float]:
        (device,) = self._encoder.pool.stats().devices
        return device.batches, device.busy_s, device.tokens

    @contextmanager
    def _ingest(self) -> Iterator[Sequence[Future[None]]]:
        """Take documents in while the block runs; it begins when their first batches have been computed.

        Two threads do it, so that one's texts wait while the other's last ones are computed, as in one long call.
        """
        ended = threading.Event()

        def take_in() -> None:
            while not ended.is_set():
                self._take_in(self._documents)

        threads = ThreadPoolExecutor(_INGESTERS)
        running = [threads.submit(take_in) for _ in range(_INGESTERS)]
        try:
            self._wait_for(_BATCHES, self._counts()[0], running)
            yield running
            ended.set()
            for one in running:
                one.result()
        finally:
            ended.set()
            threads.shutdown(wait=False)  # one that hangs must not hold up what comes next

    def _wait_for(self, more: int, known: float, running: Sequence[Future[None]]) -> None:
        """Wait until so many batches more than those known have been begun."""
        until, ends = known + more, time.monotonic() + _PATIENCE_S
        while self._counts()[0] < until:
            for one in running:
                if one.done():
                    one.result()
            if time.monotonic() > ends:
                raise StalledError(
                    f"{more} batches of documents were to be computed within {_PATIENCE_S:g} s, "
                    f"{until - self._counts()[0]:g} were not; run fewer threads, or a smaller network"
                )
            time.sleep(0.005)


@contextmanager
def _nothing() -> Iterator[Sequence[Future[None]]]:
    yield ()
