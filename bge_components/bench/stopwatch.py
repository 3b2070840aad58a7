"""Times that can be compared: systems take turns, so that what disturbs the machine disturbs them all."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from ..errors import InputError

Job = Callable[[], "float | None"]
"""Does the work once and gives its own seconds; None if it could not and is not to be asked again."""


def interleaved(jobs: Mapping[str, Job], rounds: int) -> dict[str, tuple[float, ...]]:
    """Run every job once per round, each round beginning with another one.

    Args:
        jobs: Name to job.
        rounds: How often; 1 or more.

    Returns:
        Name to seconds, one per round, in the order of `jobs`; jobs that gave up are left out.
    """
    if rounds < 1:
        raise InputError(f"rounds must be 1 or more, got {rounds}")
    seconds: dict[str, list[float]] = {name: [] for name in jobs}
    for number in range(rounds):
        for name in _rotated(list(seconds), number):
            found = jobs[name]()
            if found is None:
                del seconds[name]
            else:
                seconds[name].append(found)
    return {name: tuple(times) for name, times in seconds.items()}


def percentile(values: Sequence[float], percent: float) -> float:
    """Give the smallest value that so many percent of the values do not exceed.

    Raises:
        InputError: If there are no values.
    """
    if not values:
        raise InputError("a percentile of no values was asked for")
    ranked = sorted(values)
    rank = -(-len(ranked) * percent // 100)  # rounded up
    return ranked[min(max(int(rank), 1), len(ranked)) - 1]


def _rotated(names: list[str], by: int) -> list[str]:
    start = by % len(names) if names else 0
    return names[start:] + names[:start]
