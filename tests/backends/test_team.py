from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from bge_components.backends import team
from bge_components.backends.team import dismiss_team, run_on_team

Found = tuple[threading.Thread, int]


@pytest.fixture(autouse=True)
def threads(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int], None]]:
    """Let torch have so many threads, for the calling thread, until the test ends; the team ends then too."""
    before = torch.get_num_threads()
    dismiss_team()
    monkeypatch.setattr(team, "_team", team._Team())
    yield torch.set_num_threads
    dismiss_team()
    torch.set_num_threads(before)


def where() -> Found:
    return threading.current_thread(), torch.get_num_threads()


def test_there_is_one_team_for_all_and_it_stays(threads: Callable[[int], None]) -> None:
    threads(2)
    first = run_on_team(where, small=True)

    assert first[1] == 2
    assert first[0] is not threading.current_thread()
    assert run_on_team(where, small=False) == first
    assert torch.get_num_threads() == 2


def test_one_thread_needs_no_team(threads: Callable[[int], None]) -> None:
    threads(1)
    assert run_on_team(where, small=True) == (threading.current_thread(), 1)


def test_small_work_has_four_threads_and_large_work_all_for_as_long_as_it_runs(
    threads: Callable[[int], None],
) -> None:
    threads(16)
    small, large = run_on_team(where, small=True), run_on_team(where, small=False)

    assert (small[1], large[1]) == (4, 16)
    assert small[0].is_alive()
    assert not large[0].is_alive()


def test_who_does_not_get_the_team_in_time_has_one_for_the_moment(
    threads: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    threads(2)
    monkeypatch.setattr(team, "_PATIENCE_S", 0.01)
    taken, over = threading.Event(), threading.Event()

    def hold() -> Found:
        taken.set()
        assert over.wait(10)
        return where()

    with ThreadPoolExecutor(1) as other:
        holding = other.submit(run_on_team, hold, small=True)
        assert taken.wait(10)
        brief = run_on_team(where, small=True)
        dismiss_team()  # not while it is at work
        over.set()
        stays = holding.result()

    assert brief[1] == 2
    assert brief[0] is not stays[0]
    assert not brief[0].is_alive()
    assert stays[0].is_alive()


@pytest.mark.parametrize("error", [ValueError("no"), torch.OutOfMemoryError("full"), SystemExit(3)], ids=repr)
def test_what_the_work_raises_reaches_the_caller_and_the_next_work_runs(
    error: BaseException, threads: Callable[[int], None]
) -> None:
    threads(2)

    def fail() -> None:
        raise error

    for small in (True, False):
        with pytest.raises(type(error)):
            run_on_team(fail, small=small)
        assert run_on_team(lambda: 7, small=small) == 7


def test_a_dismissed_team_has_ended_and_the_next_work_has_another(threads: Callable[[int], None]) -> None:
    threads(2)
    old, _ = run_on_team(where, small=True)

    dismiss_team()

    assert not old.is_alive()  # at once: a thread that drops tensors while the interpreter ends aborts it
    assert run_on_team(where, small=True)[0] is not old


def test_another_number_of_threads_is_another_team(threads: Callable[[int], None]) -> None:
    threads(2)
    old, _ = run_on_team(where, small=True)
    threads(3)

    assert run_on_team(where, small=True)[1] == 3
    assert not old.is_alive()


def test_threads_that_another_team_puts_to_sleep_are_noticed(
    threads: Callable[[int], None], monkeypatch
) -> None:
    threads(2)
    took, looked = [60e-6], []
    monkeypatch.setattr(team, "_meeting_s", lambda count: looked.append(count) or took[0])

    assert team.team_sleeps()
    took[0] = 2e-6
    assert team.team_sleeps()  # what was found a moment ago
    assert looked == [2]

    monkeypatch.setattr(team, "_PROBED_FOR_S", 0.0)
    assert not team.team_sleeps()
    assert looked == [2, 2]


def test_a_meeting_takes_some_time() -> None:
    assert 0 <= team._meeting_s(2) < 1


def test_nobody_waits_for_the_team_to_be_looked_at(threads: Callable[[int], None], monkeypatch) -> None:
    threads(2)
    monkeypatch.setattr(team, "_PROBED_FOR_S", 0.0)
    monkeypatch.setattr(team, "_meeting_s", lambda count: 60e-6)
    taken, over = threading.Event(), threading.Event()
    with ThreadPoolExecutor(1) as other:
        holding = other.submit(run_on_team, lambda: (taken.set(), over.wait(10)), small=True)
        assert taken.wait(10)
        assert not team.team_sleeps()
        over.set()
        holding.result()
    assert team.team_sleeps()
