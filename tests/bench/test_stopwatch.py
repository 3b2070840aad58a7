from __future__ import annotations

import pytest

from bge_components.bench.stopwatch import interleaved, percentile
from bge_components.errors import InputError


def test_every_job_runs_once_per_round_and_each_round_begins_with_another() -> None:
    order: list[str] = []

    def job(name: str):
        def run() -> float:
            order.append(name)
            return float(len(order))

        return run

    found = interleaved({name: job(name) for name in "abc"}, rounds=3)

    assert "".join(order) == "abcbcacab"
    assert found == {"a": (1.0, 6.0, 8.0), "b": (2.0, 4.0, 9.0), "c": (3.0, 5.0, 7.0)}


def test_a_job_that_gives_up_is_left_out_and_not_asked_again() -> None:
    answers = {"good": iter([1.0, 2.0, 3.0]), "bad": iter([1.0, None])}

    found = interleaved({name: lambda name=name: next(answers[name]) for name in answers}, rounds=3)

    assert found == {"good": (1.0, 2.0, 3.0)}


def test_no_rounds_are_refused() -> None:
    with pytest.raises(InputError, match="1 or more, got 0"):
        interleaved({}, rounds=0)


@pytest.mark.parametrize(("percent", "expected"), [(0, 1), (50, 50), (99, 99), (99.5, 100), (100, 100)])
def test_percentiles_are_values_that_were_measured(percent: float, expected: int) -> None:
    assert percentile([float(i) for i in range(100, 0, -1)], percent) == expected


def test_a_percentile_of_nothing_is_refused() -> None:
    with pytest.raises(InputError):
        percentile([], 50)
