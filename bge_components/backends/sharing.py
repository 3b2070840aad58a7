"""How a forward pass on a CPU is shared out: by sequences, which threads of ours take through the whole network.

Threads that share every single product instead (OpenMP's) meet dozens of times in a layer, and each meeting waits for
the slowest. Here they meet once in a pass.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from functools import partial
from typing import TypeVar

import torch

from .pace import Pace
from .packing import Plan
from .shares import Share, even_shares
from .team import run_on_team, team_sleeps
from .workers import know_own_number, run_side_by_side

T = TypeVar("T")

MOST_WORKERS = 4
"""With more cores than this, each worker has several: shares of a batch should not become small."""
LEAST_TOKENS = 64
"""A share smaller than this is not worth a thread of its own."""
_MOST_UNEVEN = 1.25
"""The largest share may be so many times the mean; beyond that OpenMP's threads are sooner done."""

_under_way: set[object] = set()
"""One thing for every pass that is computed on a CPU in this process; adding to it and taking from it are atomic."""


def run_pass(
    plan: Plan, work: Callable[[Share], T], *, shareable: bool = True, pace: Pace | None = None
) -> list[T]:
    """Run one pass on a CPU where its batch and what else is computed make best.

    That is on workers with a share each; or whole, on the team of OpenMP's threads. A small batch beside another pass
    has one thread of its own, because each time OpenMP's threads meet they would wait for the one whose core the
    others have.

    Args:
        plan: The batch.
        work: Computes a share of it, given which sequences those are; called on several threads at once.
        shareable: Whether it may be; otherwise it is called once, with the whole batch.
        pace: What was learned of the network's small passes; without it they run on the team.

    Returns:
        What `work` gave for each share.
    """
    this = object()
    _under_way.add(this)
    try:
        know_own_number()
        shares, small = _shares(plan) if shareable else [_whole(plan)], _is_small(plan)
        crowded = shareable and small and len(_under_way) > 1
        if len(shares) > 1 or crowded:
            return run_side_by_side([partial(work, share) for share in shares])
        whole = partial(work, shares[0])
        if pace is not None and small:
            return [_on_one_or_all(whole, plan.starts[-1], pace)]
        return [run_on_team(whole, small=small)]
    finally:
        _under_way.discard(this)


def _on_one_or_all(work: Callable[[], T], tokens: int, pace: Pace) -> T:
    """Run a small pass on one thread or on the team, whichever was sooner done before."""
    asleep = team_sleeps()
    one = pace.prefers_one(tokens, asleep=asleep)
    timed = partial(_timed, work)
    found, took_s = run_side_by_side([timed])[0] if one else run_on_team(timed, small=True)
    pace.learn(tokens, asleep=asleep, one=one, took_s=took_s)
    return found


def _timed(work: Callable[[], T]) -> tuple[T, float]:
    started = time.perf_counter()
    found = work()
    return found, time.perf_counter() - started


def _shares(plan: Plan) -> list[Share]:
    """Give a share for each worker of the calling thread.

    Returns:
        A single one where the batch is too small, or cannot be cut evenly, or torch has one thread.
    """
    count = _most_shares()
    if count < 2 or len(plan.lengths) < count or _is_small(plan):
        return [_whole(plan)]
    shares = even_shares(plan.lengths, count)
    largest = max(sum(plan.lengths[place] for place in share) for share in shares)
    return shares if largest * count <= _MOST_UNEVEN * plan.starts[-1] else [_whole(plan)]


def _most_shares() -> int:
    threads = torch.get_num_threads()
    return threads // -(-threads // MOST_WORKERS)  # so that all have equally many threads


def _is_small(plan: Plan) -> bool:
    """Say whether a batch is too small for the calling thread's workers; one thread has none."""
    count = _most_shares()
    return count > 1 and plan.starts[-1] < count * LEAST_TOKENS


def _whole(plan: Plan) -> Share:
    return range(len(plan.lengths))


if hasattr(os, "register_at_fork"):  # not on Windows, where nothing forks
    os.register_at_fork(after_in_child=_under_way.clear)
