"""Whether a short text is sooner done by one thread or by OpenMP's together, learned from the texts before it."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Any

_KEPT = 5
"""Newest passes of either way that count: the quickest of them, because what disturbs a pass only makes it longer."""
_TRIES = 2
_LOOK_AGAIN_AFTER = 128
"""One pass of so many goes the other way, to see whether that has become better: too few for a 99th percentile."""


@dataclass
class _Kind:
    """What passes of one kind took, in seconds, newest last, and how many there were since both ways are known."""

    on_one: deque[float] = field(default_factory=lambda: deque(maxlen=_KEPT))
    on_team: deque[float] = field(default_factory=lambda: deque(maxlen=_KEPT))
    passes: int = 0


class Pace:
    """How long the small passes of one network take on one thread, and on the team's. Safe to share between threads.

    Which is better depends on the network, on the number of tokens and on the machine, and most of all on whether the
    team's threads sleep between two steps: all are kept apart.
    """

    def __init__(self) -> None:
        self._kinds: dict[tuple[int, bool], _Kind] = {}

    def __deepcopy__(self, memo: dict[int, Any]) -> Pace:
        return Pace()  # a copy of a network, in another format, has a pace of its own

    def prefers_one(self, tokens: int, *, asleep: bool) -> bool:
        """Say whether the next pass of about so many tokens is to run on one thread.

        Args:
            tokens: Of the pass; numbers up to the next power of two are one kind.
            asleep: Whether the team's threads have to be woken up for every step.
        """
        kind = self._kind(tokens, asleep)
        on_one, on_team = list(kind.on_one), list(kind.on_team)
        if len(on_team) < _TRIES or len(on_one) < _TRIES:
            return len(on_team) >= _TRIES
        kind.passes += 1
        return (min(on_one) < min(on_team)) != (kind.passes % _LOOK_AGAIN_AFTER == 0)

    def learn(self, tokens: int, *, asleep: bool, one: bool, took_s: float) -> None:
        """Note how long a pass took, on one thread or on the team's."""
        kind = self._kind(tokens, asleep)
        (kind.on_one if one else kind.on_team).append(took_s)

    def _kind(self, tokens: int, asleep: bool) -> _Kind:
        return self._kinds.setdefault((tokens.bit_length(), asleep), _Kind())
