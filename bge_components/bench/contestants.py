"""One system on one set of texts: warmed up, given as many texts as it can run, timed, asked for its numbers."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ..contracts import Float32
from .systems.client import SystemFailed, Worker

_SAMPLE = 32
"""The sample that tells how fast it is has about so many texts: a usual batch, so that it pads as all of them do."""
_FEWEST = 8
"""A slow system runs at least so many, where the work does not ask for more."""


@dataclass(frozen=True, kw_only=True)
class Work:
    """Texts that are run once in every round.

    Attributes:
        name: The workload's name in tables.
        texts: What is encoded, or ranked.
        lengths: Tokens of each, special tokens included, and those of the query too where there is one.
        query: What they are ranked for; None encodes them.
        fewest: A sample for a slow system has at least so many texts.
    """

    name: str
    texts: Sequence[str]
    lengths: Sequence[int]
    query: str | None = None
    fewest: int = _FEWEST

    @property
    def tokens(self) -> int:
        """All their tokens."""
        return sum(self.lengths)

    def part(self, every: int) -> Work:
        """Give every so-many-th text, a fair sample of a mixture; 1 gives all."""
        if every == 1:
            return self
        texts, lengths = self.texts[::every], self.lengths[::every]
        return Work(name=f"{self.name}, 1 of {every}", texts=texts, lengths=lengths, query=self.query)

    def shortest(self) -> Work:
        """Give the two shortest texts."""
        places = sorted(range(len(self.texts)), key=lambda place: self.lengths[place])[:2]
        texts, lengths = [self.texts[i] for i in places], [self.lengths[i] for i in places]
        return Work(name=f"{self.name}, shortest", texts=texts, lengths=lengths, query=self.query)


class Contestant:
    """A system on one work. What it fails at, it is not asked for again.

    Attributes:
        work: All the texts.
        worker: A process that has loaded the checkpoint; None before it runs.
        part: The texts that it runs: all, or a sample if it is slow.
        every: Which sample: every so-many-th text.
        seconds: Of each round; those of a sample are scaled to all tokens.
        answers: Vectors (texts, dim) or scores (texts,) of `part`; None before the end.
        peak_mb: Most memory of its process from its first run of these texts to its last; None before the end, and
            where what was before cannot be forgotten.
        failure: Why it is not measured; empty if it is.
    """

    def __init__(self, work: Work, longest_s: float = math.inf) -> None:
        """Take the work, and the time that a round may take before it gets a sample of the texts."""
        self.work = self.part = work
        self.every = 1
        self.seconds: list[float] = []
        self.answers: Float32 | None = None
        self.peak_mb: float | None = None
        self.failure = ""
        self._forgotten = False
        self._longest_s = longest_s
        self.worker: Worker | None = None

    def prepare(self) -> None:
        """Warm the process up and choose the texts that it can run in the time."""
        self._try(self._choose)

    def round(self) -> float | None:
        """Run the texts once and give the seconds that all would take; None if it failed."""
        found = self._try(lambda: self._run(self.part) * self.work.tokens / self.part.tokens)
        if found is not None:
            self.seconds.append(found)
        return found

    def finish(self) -> None:
        """Ask for its numbers and its memory."""
        self._try(self._ask)

    def _choose(self) -> float:
        self._forgotten = self._known().forget_peak()
        first = self.work.shortest()
        if len(self.work.texts) > 1:  # one long text would take as long to warm up as to measure
            self._give(first)
            self._run(first)
        sample = self.work.part(max(1, len(self.work.texts) // _SAMPLE))
        if len(sample.texts) < len(self.work.texts):
            self._give(sample)
            self._run(sample)
            most = max(1, len(self.work.texts) // self.work.fewest)
            if most > 1:  # the first run was a cold one: the second decides
                whole_s = self._run(sample) * self.work.tokens / sample.tokens
                self.every = min(most, max(1, math.ceil(whole_s / self._longest_s)))
        self.part = self.work.part(self.every)
        self._give(self.part)
        return 0.0

    def _give(self, work: Work) -> None:
        self._known().give(work.name, list(work.texts))

    def _run(self, work: Work) -> float:
        worker = self._known()
        return worker.encode(work.name) if work.query is None else worker.rerank(work.query, work.name)

    def _ask(self) -> float:
        worker, part = self._known(), self.part
        found = worker.vectors(part.name) if part.query is None else worker.scores(part.query, part.name)
        self.answers = found
        self.peak_mb = worker.peak_mb() if self._forgotten else None
        return 0.0

    def _known(self) -> Worker:
        assert self.worker is not None, "a process comes first"
        return self.worker

    def _try(self, step: Callable[[], float]) -> float | None:
        try:
            return None if self.failure else step()
        except SystemFailed as error:
            self.failure = str(error)
            return None
