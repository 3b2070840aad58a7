"""How a batch lies end to end as one row of tokens: by length, so that equal lengths are neighbours."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby, pairwise

import numpy as np
import torch
from torch import Tensor

from ..contracts import Int32, TokenSequence
from .grouping import Grouping, grouping


@dataclass(frozen=True, slots=True)
class Run:
    """Neighbouring sequences of one length.

    Attributes:
        start: Place of its first token in the row.
        count: How many sequences.
        length: Tokens in each.
    """

    start: int
    count: int
    length: int

    @property
    def tokens(self) -> slice:
        """Where its tokens lie in the row."""
        return slice(self.start, self.start + self.count * self.length)


@dataclass(frozen=True)
class Plan:
    """Where each sequence lies in the row.

    Attributes:
        lengths: Tokens of each sequence, in the order of the row.
        device: Where the row is.
    """

    lengths: tuple[int, ...]
    device: torch.device

    @cached_property
    def starts(self) -> tuple[int, ...]:
        """Place of each sequence's first token, and the end of the row: one more than there are sequences."""
        return (0, *np.cumsum(self.lengths).tolist())

    @property
    def first_rows(self) -> Tensor:
        """Places of the sequences' first tokens: int32, shape (sequences,), on the device."""
        return self.bounds[:-1]

    @cached_property
    def firsts(self) -> Plan:
        """The plan of the first tokens alone."""
        return Plan((1,) * len(self.lengths), self.device)

    @cached_property
    def runs(self) -> tuple[Run, ...]:
        """The neighbours of equal length, in the order of the row."""
        runs, start = [], 0
        for length, group in groupby(self.lengths):
            count = len(list(group))
            runs.append(Run(start, count, length))
            start += count * length
        return tuple(runs)

    @cached_property
    def run_tokens(self) -> list[int]:
        """How many tokens each run has."""
        return [run.count * run.length for run in self.runs]

    def grouping(self, heads: int) -> Grouping:
        """Give the sequences in groups of near lengths, on the CPU; they are formed once for all layers."""
        if heads not in self._groupings:
            self._groupings[heads] = grouping(self.lengths, heads)
        return self._groupings[heads]

    @cached_property
    def _groupings(self) -> dict[int, Grouping]:
        return {}

    @cached_property
    def bounds(self) -> Tensor:
        """The starts as a kernel wants them: int32, shape (sequences + 1,), on the device."""
        if len(self.runs) == 1:  # made there: nothing is sent to a GPU
            run = self.runs[0]
            return torch.arange(run.count + 1, dtype=torch.int32, device=self.device) * run.length
        return torch.tensor(self.starts, dtype=torch.int32, device=self.device)

    def _cut(self, count: int) -> list[slice]:
        """Cut the row between sequences into at most `count` neighbouring parts of nearly equal numbers of tokens.

        Returns:
            Which sequences each part holds, at least one.
        """
        goals = (self.starts[-1] * place / count for place in range(count + 1))
        return [slice(*ends) for ends in pairwise(sorted({self._nearest(goal) for goal in goals}))]

    def _nearest(self, goal: float) -> int:
        """Give which sequence begins nearest to a place in the row; the end of the row counts as a beginning."""
        after = bisect_left(self.starts, goal)
        before = max(after - 1, 0)
        return before if goal - self.starts[before] < self.starts[after] - goal else after

    def parts(self, most: int) -> list[tuple[slice, Plan]]:
        """Cut the row between sequences into parts of about `most` tokens or less, of nearly equal size.

        Returns:
            Where each part lies in the row, and its own plan.
        """
        return [
            (slice(self.starts[part.start], self.starts[part.stop]), Plan(self.lengths[part], self.device))
            for part in self._cut(-(-self.starts[-1] // most))
        ]

    def positions(self) -> Tensor:
        """Give each token's place in its own sequence, from 0: int64, shape (tokens,)."""
        parts = [np.tile(np.arange(run.length), run.count) for run in self.runs]
        return torch.from_numpy(np.concatenate(parts)).to(self.device)


@dataclass(frozen=True)
class Packed:
    """A batch as one row.

    Attributes:
        ids: int64, shape (tokens,).
        type_ids: int64, shape (tokens,); None means zeros.
        plan: Where each sequence lies.
        first_only: A network is to give the states of the first tokens and no others: one row per sequence.
    """

    ids: Tensor
    type_ids: Tensor | None
    plan: Plan
    first_only: bool = False

    @property
    def given(self) -> Plan:
        """Where each sequence lies in the states that a network gives."""
        return self.plan.firsts if self.first_only else self.plan


def order_by_length(batch: Sequence[TokenSequence]) -> list[int]:
    """Give the places of the sequences, shortest first and equal lengths in their own order."""
    return sorted(range(len(batch)), key=lambda index: len(batch[index]))


def packed(batch: Sequence[TokenSequence], device: torch.device, *, first_only: bool = False) -> Packed:
    """Lay sequences end to end, in the order given; see `Packed` for `first_only`."""
    ids = _row([sequence.ids for sequence in batch], device)
    typed = any(sequence.type_ids is not None for sequence in batch)
    types = [np.zeros_like(s.ids) if s.type_ids is None else s.type_ids for s in batch] if typed else None
    plan = Plan(tuple(len(sequence) for sequence in batch), device)
    return Packed(ids, None if types is None else _row(types, device), plan, first_only)


def _row(parts: Sequence[Int32], device: torch.device) -> Tensor:
    return torch.from_numpy(np.concatenate(parts).astype(np.int64)).to(device)
