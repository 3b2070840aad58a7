from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
import torch

from bge_components.backends import team
from bge_components.backends.team import dismiss_teams, run_on_team, team_sleeps

Found = tuple[threading.Thread, int]


@pytest.fixture(autouse=True)
def threads(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int], None]]:
    """Let torch have so many threads, for the calling thread, until the test ends; its teams end then too."""
    before = torch.get_num_threads()
    monkeypatch.setattr(team, "_teams", {})
    yield torch.set_num_threads
    dismiss_teams()
    torch.set_num_threads(before)


def where() -> Found:
    return threading.current_thread(), torch.get_num_threads()


@contextmanager
def held() -> Iterator[None]:
    """Have a pass of another thread on the team while the block runs."""
    taken, over = threading.Event(), threading.Event()
    count = torch.get_num_threads()

    def hold() -> None:
        torch.set_num_threads(count)
        run_on_team(lambda: (taken.set(), over.wait(10)), small=True)

    with ThreadPoolExecutor(1) as other:
        holding = other.submit(hold)
        assert taken.wait(10)
        try:
            yield
        finally:
            over.set()
            holding.result()


def test_there_is_one_team_for_all_and_it_stays(threads: Callable[[int], None]) -> None:
    threads(2)
    first = run_on_team(where, small=True)

    assert (first[0].name, first[1]) == ("bge-team", 2)
    assert run_on_team(where, small=False) == first
    assert torch.get_num_threads() == 2
    with ThreadPoolExecutor(1) as other:
        other.submit(torch.set_num_threads, 2).result()
        assert other.submit(run_on_team, where, small=True).result() == first


def test_one_thread_needs_no_team(threads: Callable[[int], None]) -> None:
    threads(1)
    assert run_on_team(where, small=True) == (threading.current_thread(), 1)


def test_small_work_has_four_threads_and_large_work_all(threads: Callable[[int], None]) -> None:
    threads(16)
    small, large = run_on_team(where, small=True), run_on_team(where, small=False)

    assert (small[1], large[1]) == (4, 16)
    assert run_on_team(where, small=True) == small
    assert run_on_team(where, small=False) == large


def test_callers_with_other_numbers_of_threads_do_not_end_each_others_team(
    threads: Callable[[int], None],
) -> None:
    threads(2)
    two = run_on_team(where, small=True)
    threads(3)
    three = run_on_team(where, small=True)
    threads(2)

    assert (two[1], three[1]) == (2, 3)
    assert run_on_team(where, small=True) == two


def test_who_does_not_get_the_team_leaves_it_to_its_holder_and_nobody_waits_again(
    threads: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    threads(2)
    waits: list[float] = []
    take = team._Team.take
    monkeypatch.setattr(team._Team, "take", lambda one, s: waits.append(take(one, s)) or waits[-1])
    before = run_on_team(where, small=True)
    with held():
        waits.clear()
        after = run_on_team(where, small=True)
        assert run_on_team(where, small=False) == after
        assert waits == [False, True, True]
        dismiss_teams()  # not that of the holder
        assert before[0].is_alive()
    assert after[0] is not before[0]
    before[0].join(timeout=10)  # nobody has it any more
    assert not before[0].is_alive()


def test_without_another_thread_the_work_is_done_on_the_calling_one(
    threads: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    threads(2)

    def refuse(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as full:
        full.setattr(team, "Crew", refuse)
        assert run_on_team(where, small=True) == (threading.current_thread(), 2)
    assert run_on_team(where, small=True)[0].name == "bge-team"


@pytest.mark.parametrize("error", [ValueError("no"), torch.OutOfMemoryError("full"), SystemExit(3)], ids=repr)
def test_what_the_work_raises_reaches_the_caller_and_the_next_work_runs(
    error: BaseException, threads: Callable[[int], None]
) -> None:
    threads(2)

    def fail() -> None:
        raise error

    with pytest.raises(type(error)):
        run_on_team(fail, small=True)
    assert run_on_team(lambda: 7, small=True) == 7


def test_a_dismissed_team_has_ended_and_the_next_work_has_another(threads: Callable[[int], None]) -> None:
    threads(2)
    old, _ = run_on_team(where, small=True)

    dismiss_teams()

    assert not old.is_alive()  # at once: a thread that drops tensors while the interpreter ends aborts it
    assert run_on_team(where, small=True)[0] is not old


@pytest.mark.parametrize(("meeting_s", "sleeps"), [(60e-6, True), (2e-6, False)])
def test_what_a_meeting_costs_is_looked_at_behind_a_work_and_not_again_soon(
    meeting_s: float, sleeps: bool, threads: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    threads(2)
    looked: list[tuple[int, str]] = []
    monkeypatch.setattr(
        team, "_meeting_s", lambda count: looked.append((count, threading.current_thread().name)) or meeting_s
    )
    assert not team_sleeps()

    for _ in range(3):
        run_on_team(where, small=True)

    assert looked == [(2, "bge-team")]
    assert team_sleeps() is sleeps


def test_a_shared_step_takes_longer_by_what_a_meeting_costs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(team, "_seconds", lambda numbers: 30e-6 if len(numbers) >= 2 * 32768 else 10e-6)
    assert team._meeting_s(2) == pytest.approx(20e-6)
