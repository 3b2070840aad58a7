"""All systems on one network: each in a process of its own, the same texts, rounds in turns."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import ExitStack

from .agreement import cosine_between_texts, lowest_cosine, nearest_score
from .contestants import Contestant, Work
from .machine import available_bytes
from .records import Absence, Measurement
from .shapes import Shape
from .starting import Start, started
from .stopwatch import interleaved
from .suite import Bench
from .systems.client import SystemFailed, Worker

REFERENCES = ("sentence-transformers fp32", "bge_components fp32")
"""Whose numbers the others are held against: the first of them that was measured."""
_STAND_IN = (
    "{work}, {shape}: {missing} was not measured, so cosines are to {found}; "
    "whether that one is right, these numbers do not tell."
)

_SLOWEST = 8.0
"""How much longer than planned a round of a peer may take before it gets a sample of the texts."""
_LEAST_S = 1.0
_ONCE_S = 60.0
"""A round that is planned to take longer averages by itself, and is run once."""
_MEMORY_SHARE = 0.7
_PROCESS_BYTES = 1.0e9
_COPIES = 1.6
"""Bytes in a process per byte of weights: some systems keep them twice."""
_BYTES_PER_PAIR = 8.0
"""For every head and two tokens of a text: some systems hold all scores and their softmax, and keep the memory."""
_GROUPED = (
    "{shape}: the systems do not fit into memory together and ran in {count} groups, one after the other, "
    "with {names} in each: compare systems of different groups with those, whose rounds are of all groups."
)


class Contest:
    """Runs all systems of a bench on one shape."""

    def __init__(
        self, bench: Bench, shape: Shape, works: Sequence[Work], start: Start = Worker.start
    ) -> None:
        """Take what is to be compared.

        Args:
            bench: Systems, rounds, budget of time.
            shape: The network.
            works: What each system runs.
            start: Makes the process of a system.
        """
        self._bench, self._shape, self._works, self._start = bench, shape, works, start
        self._systems = {system.name: system for system in bench.systems if shape.task in system.tasks}
        self._contestants = {
            work.name: {name: Contestant(work, self._longest_s(work, name)) for name in self._systems}
            for work in works
        }

    def run(self) -> Iterator[Measurement | Absence]:
        """Run everything, and give what was found of a system on a work when no later group runs it again."""
        groups = self._groups()
        for place, group in enumerate(groups):
            later = {name for other in groups[place + 1 :] for name in other}
            with ExitStack() as running:
                for name in group:
                    self._enter(name, running)
                for work in self._works:
                    self._take_turns(work, group)
                    self._tell_of_a_stand_in(work)
                    yield from (self._found(work, name) for name in group if name not in later)

    def _groups(self) -> list[list[str]]:
        """Give the systems that fit into memory together.

        In every group are those that the others are compared with: the references, or, where they would take most
        of the room, the first system alone, which is ours. References run first, so that what later groups give can
        be held against them at once.
        """
        there = [name for name, one in self._systems.items() if one.environment in self._bench.interpreters]
        elsewhere = [name for name in self._systems if name not in there]  # they take no room
        names = sorted(there, key=lambda name: name not in REFERENCES)
        room = max(int(_MEMORY_SHARE * (available_bytes() or 8e9) / self._process_bytes()), 2)
        if len(names) <= room:
            return [list(self._systems)]
        references = [name for name in names if name in REFERENCES]
        always = references if 0 < 2 * len(references) <= room else there[:1]
        others, free = [name for name in names if name not in always], room - len(always)
        groups = [always + others[start : start + free] for start in range(0, len(others), free)]
        groups[0] += elsewhere
        self._bench.told.append(
            _GROUPED.format(shape=self._shape.name, count=len(groups), names=" and ".join(always))
        )
        return groups

    def _process_bytes(self) -> float:
        """Guess what the process of a system may need."""
        longest = max(length for work in self._works for length in work.lengths)
        scores = _BYTES_PER_PAIR * self._shape.heads * longest**2
        return 4 * self._shape.parameters * _COPIES + scores + _PROCESS_BYTES

    def _enter(self, name: str, running: ExitStack) -> None:
        """Start a system; one that cannot is out of every work."""
        try:
            worker = started(self._bench, self._shape, self._systems[name], running, self._start)
        except SystemFailed as error:
            for contestants in self._contestants.values():
                contestants[name].failure = str(error)
            return
        for contestants in self._contestants.values():
            contestants[name].worker = worker

    def _take_turns(self, work: Work, group: Sequence[str]) -> None:
        contestants = self._contestants[work.name]
        self._bench.log(f"  {self._shape.name}: {work.name}, {len(work.texts)} texts, {work.tokens:,} tokens")
        for name in group:
            contestants[name].prepare()
        ready = {name: contestants[name].round for name in group if not contestants[name].failure}
        rounds = 1 if self._planned_s(work) > _ONCE_S else self._bench.rounds
        for name in interleaved(ready, rounds):
            contestants[name].finish()

    def _longest_s(self, work: Work, name: str) -> float:
        """Give the time that a round of a system may take; the references always run everything."""
        if name in REFERENCES:
            return math.inf
        return _SLOWEST * max(self._planned_s(work), self._bench.seconds, _LEAST_S)

    def _planned_s(self, work: Work) -> float:
        """Give the time that the machine's own products alone take."""
        return self._shape.flops(work.lengths) / self._bench.affordable_flops(self._shape, 1.0)

    def _found(self, work: Work, name: str) -> Measurement | Absence:
        contestants = self._contestants[work.name]
        one = contestants[name]
        if one.failure:
            return Absence(workload=work.name, shape=self._shape.name, system=name, reason=one.failure)
        return self._measurement(name, one, self._reference(work))

    def _reference(self, work: Work) -> str | None:
        """Give the name of the system whose numbers the others are held against; None if there is none."""
        contestants = self._contestants[work.name]
        whole = {name for name, one in contestants.items() if one.answers is not None and not one.failure}
        return next((name for name in REFERENCES if name in whole), None)

    def _tell_of_a_stand_in(self, work: Work) -> None:
        found = self._reference(work)
        if found in (None, REFERENCES[0]):
            return
        told = _STAND_IN.format(work=work.name, shape=self._shape.name, missing=REFERENCES[0], found=found)
        if told not in self._bench.told:
            self._bench.told.append(told)

    def _measurement(self, name: str, one: Contestant, reference: str | None) -> Measurement:
        work = one.work
        right = self._contestants[work.name][reference].answers if reference else None
        numbers = {} if one.peak_mb is None else {"peak_mb": one.peak_mb}
        nearness = None
        if one.answers is not None and right is not None and name != reference:
            compare = lowest_cosine if work.query is None else nearest_score
            nearness = compare(one.answers, right[:: one.every])
        if one.answers is not None and work.query is None:
            numbers["between_texts_cosine"] = cosine_between_texts(one.answers)
        if one.every > 1:
            numbers["texts_measured"] = len(one.part.texts)
        return Measurement(
            workload=work.name,
            shape=self._shape.name,
            system=name,
            seconds=tuple(one.seconds),
            texts=len(work.texts),
            tokens=work.tokens,
            flops=self._shape.flops(work.lengths),
            lowest_cosine=nearness,
            reference=name == reference,
            numbers=numbers,
        )
