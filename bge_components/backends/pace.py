"""Whether a short text is sooner done by one thread or by OpenMP's together, learned from the texts before it."""

from __future__ import annotations

from collections import defaultdict, deque

_KEPT = 5
"""Newest passes of either way that count: the quickest of them, because what disturbs a pass only makes it longer."""
_TRIES = 2
_LOOK_AGAIN_AFTER = 128
"""One pass of so many goes the other way, to see whether that has become better: too few for a 99th percentile."""


class Pace:
    """How long the small passes of one network take on one thread, and on the team's.

    Which is better depends on the network, on the number of tokens and on the machine, and most of all on whether the
    team's threads sleep between two steps: all are kept apart.
    """

    def __init__(self) -> None:
        self._took: dict[tuple[int, bool], dict[bool, deque[float]]] = defaultdict(
            lambda: {one: deque(maxlen=_KEPT) for one in (True, False)}
        )
        self._passes = 0

    def prefers_one(self, tokens: int, *, asleep: bool) -> bool:
        """Say whether the next pass of about so many tokens is to run on one thread.

        Args:
            tokens: Of the pass; numbers up to the next power of two are one kind.
            asleep: Whether the team's threads have to be woken up for every step.
        """
        took = self._took[tokens.bit_length(), asleep]
        for one in (False, True):
            if len(took[one]) < _TRIES:
                return one
        self._passes += 1
        better = min(took[True]) < min(took[False])
        return better != (self._passes % _LOOK_AGAIN_AFTER == 0)

    def learn(self, tokens: int, *, asleep: bool, one: bool, took_s: float) -> None:
        """Note how long a pass took, on one thread or on the team's."""
        self._took[tokens.bit_length(), asleep][one].append(took_s)
