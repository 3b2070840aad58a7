from __future__ import annotations

import pytest

from bge_components.pool import gathering
from bge_components.pool.gathering import Gathering
from bge_components.pool.requests import Ticket

from .test_backlog import ticket


def served(calls: int) -> list[Ticket]:
    """Give the tickets of calls with one text each, all answered."""
    tickets = [ticket(10) for _ in range(calls)]
    for one in tickets:
        one.deliver({})
    return tickets


@pytest.fixture
def frozen(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr(gathering.time, "monotonic", lambda: now[0])
    return now


def test_several_callers_are_waited_for_until_all_are_back(frozen: list[float]) -> None:
    gathers = Gathering()

    gathers.served(served(4), took_s=0.1, waiting=3)

    assert gathers.patience_s(6) == pytest.approx(0.01)
    assert gathers.patience_s(7) == 0.0


def test_patience_ends_after_a_tenth_of_the_batch_and_has_a_limit(frozen: list[float]) -> None:
    gathers = Gathering()
    gathers.served(served(4), took_s=60.0, waiting=0)
    assert gathers.patience_s(1) == pytest.approx(0.05)

    frozen[0] += 0.051

    assert gathers.patience_s(1) == 0.0


def test_every_caller_that_comes_renews_patience_up_to_half_of_the_batch(frozen: list[float]) -> None:
    gathers = Gathering()
    gathers.served(served(30), took_s=0.05, waiting=0)

    for back in range(1, 7):
        frozen[0] += 0.004
        assert gathers.patience_s(back) == pytest.approx(min(0.005, 0.025 - 0.004 * back))
    frozen[0] += 0.002
    assert gathers.patience_s(7) == 0.0


def test_patience_is_not_renewed_while_nobody_comes(frozen: list[float]) -> None:
    gathers = Gathering()
    gathers.served(served(30), took_s=0.05, waiting=2)

    frozen[0] += 0.004
    assert gathers.patience_s(2) == pytest.approx(0.001)
    frozen[0] += 0.002
    assert gathers.patience_s(2) == 0.0


def test_nobody_waits_for_one_caller_or_for_a_call_that_goes_on(frozen: list[float]) -> None:
    gathers = Gathering()
    gathers.served(served(1), took_s=1.0, waiting=0)
    assert gathers.patience_s(1) == 0.0

    gathers.served(
        [ticket(10) for _ in range(5)], took_s=1.0, waiting=0
    )  # parts of lists that are not finished
    assert gathers.patience_s(1) == 0.0


def test_an_empty_queue_asks_for_no_patience(frozen: list[float]) -> None:
    gathers = Gathering()
    gathers.served(served(4), took_s=1.0, waiting=0)

    assert gathers.patience_s(0) == 0.0
