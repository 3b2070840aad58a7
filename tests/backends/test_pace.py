from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy

from bge_components.backends.pace import Pace


def passes(
    pace: Pace, count: int, took_s: Callable[[bool], float], tokens: int = 12, asleep: bool = False
) -> list[bool]:
    """Run so many passes that take what `took_s` says of the way they go; give which went on one thread."""
    ways = []
    for _ in range(count):
        one = pace.prefers_one(tokens, asleep=asleep)
        pace.learn(tokens, asleep=asleep, one=one, took_s=took_s(one))
        ways.append(one)
    return ways


def test_both_ways_are_tried_and_the_quicker_one_is_kept() -> None:
    assert passes(Pace(), 100, lambda one: 0.004 if one else 0.009) == [False, False] + [True] * 98
    assert (
        passes(Pace(), 100, lambda one: 0.004 if one else 0.003) == [False, False, True, True] + [False] * 96
    )


def test_the_other_way_is_looked_at_again_less_than_once_in_a_hundred_passes() -> None:
    pace = Pace()
    passes(pace, 4, lambda one: 0.004 if one else 0.009)

    ways = passes(pace, 1280, lambda one: 0.004 if one else 0.009)

    assert ways.count(False) == 10


def test_what_has_become_better_is_found_and_kept() -> None:
    pace = Pace()
    passes(pace, 50, lambda one: 0.004 if one else 0.009)

    ways = passes(pace, 1000, lambda one: 0.02 if one else 0.009)

    assert ways.count(True) < 30
    assert ways[-100:].count(True) <= 1


def test_one_slow_pass_decides_nothing() -> None:
    pace = Pace()
    passes(pace, 20, lambda one: 0.004 if one else 0.009)
    pace.learn(12, asleep=False, one=True, took_s=0.5)

    assert pace.prefers_one(12, asleep=False)


def test_numbers_of_tokens_and_sleeping_threads_are_kept_apart() -> None:
    pace = Pace()
    passes(pace, 20, lambda one: 0.004 if one else 0.009, asleep=True)
    passes(pace, 20, lambda one: 0.004 if one else 0.003, asleep=False)
    passes(pace, 20, lambda one: 0.04 if one else 0.03, tokens=100, asleep=True)

    assert pace.prefers_one(12, asleep=True)
    assert pace.prefers_one(9, asleep=True)  # a text of near length
    assert not pace.prefers_one(12, asleep=False)
    assert not pace.prefers_one(100, asleep=True)


def test_every_kind_looks_again_whatever_comes_between() -> None:
    pace = Pace()
    ways: dict[int, list[bool]] = {12: [], 40: []}
    for _ in range(600):
        for tokens, found in ways.items():
            found += passes(pace, 1, lambda one: 0.004 if one else 0.009, tokens=tokens)

    assert all(found[4:].count(False) == 4 for found in ways.values())


def test_a_copy_of_a_network_learns_for_itself() -> None:
    pace = Pace()
    passes(pace, 20, lambda one: 0.004 if one else 0.009)

    assert pace.prefers_one(12, asleep=False)
    assert not deepcopy(pace).prefers_one(12, asleep=False)
