from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
import torch

from bge_components.backends import workers
from bge_components.backends.native import NativeEncoder
from bge_components.backends.workers import (
    Crew,
    _Job,
    _own,
    dismiss_workers,
    run_side_by_side,
)
from bge_components.errors import DeviceOutOfMemoryError

from .sequences import load, random_ids, sequences

CPU = torch.device("cpu")
MIXED = [3, 9, 9, 30, 63, 63, 120]


@pytest.fixture(autouse=True)
def threads() -> Iterator[Callable[[int], None]]:
    """Let torch have so many threads, for the calling thread, until the test ends; its workers end then too."""
    before = torch.get_num_threads()
    dismiss_workers()
    yield torch.set_num_threads
    dismiss_workers()
    torch.set_num_threads(before)


def test_workers_of_another_number_of_threads_are_dismissed(threads: Callable[[int], None]) -> None:
    threads(2)
    old = run_side_by_side([threading.current_thread] * 2)
    threads(4)
    run_side_by_side([threading.current_thread] * 4)

    for worker in old:
        worker.join(timeout=10)
    assert not any(worker.is_alive() for worker in old)


def test_works_run_at_the_same_time_and_their_results_keep_the_order() -> None:
    meeting = threading.Barrier(3)

    def work(number: int) -> tuple[int, str]:
        meeting.wait(timeout=30)
        return number, threading.current_thread().name

    found = run_side_by_side([lambda number=number: work(number) for number in range(3)])

    assert [number for number, _ in found] == [0, 1, 2]
    assert {name for _, name in found} == {"bge-worker"}


@pytest.mark.parametrize("error", [ValueError("no"), torch.OutOfMemoryError("full"), SystemExit(3)], ids=repr)
def test_what_a_work_raises_reaches_the_caller_and_the_next_works_run(error: BaseException) -> None:
    def fail() -> int:
        raise error

    with pytest.raises(type(error)):
        run_side_by_side([lambda: 1, fail])

    assert run_side_by_side([lambda: 1, lambda: 2]) == [1, 2]


def of_a_new_thread() -> int:
    found: list[int] = []
    newcomer = threading.Thread(target=lambda: found.append(torch.get_num_threads()))
    newcomer.start()
    newcomer.join()
    return found[0]


def test_workers_split_the_threads_that_torch_has_and_change_nobody_elses(
    threads: Callable[[int], None],
) -> None:
    threads(8)
    assert run_side_by_side([torch.get_num_threads] * 4) == [2, 2, 2, 2]
    assert (torch.get_num_threads(), of_a_new_thread()) == (8, 8)

    elsewhere = threading.Thread(target=lambda: torch.set_num_threads(3))  # later, on a thread of the user's
    elsewhere.start()
    elsewhere.join()
    dismiss_workers()

    assert run_side_by_side([torch.get_num_threads] * 4) == [2, 2, 2, 2]
    assert (torch.get_num_threads(), of_a_new_thread()) == (8, 3)
    threads(2)
    assert run_side_by_side([torch.get_num_threads] * 2) == [1, 1]


def test_every_thread_has_workers_of_its_own_and_they_end_with_it() -> None:
    found: list[threading.Thread] = []

    def ask() -> None:
        found.extend(run_side_by_side([threading.current_thread, threading.current_thread]))

    mine = set(run_side_by_side([threading.current_thread] * 2))
    thread = threading.Thread(target=ask)
    thread.start()
    thread.join()

    assert len(set(found)) == 2
    assert not mine & set(found)
    for worker in found:
        worker.join(timeout=10)
        assert not worker.is_alive()
    assert all(worker.is_alive() for worker in mine)


def test_freed_memory_includes_the_workers_also_after_a_pass_that_failed(
    tiny_m3: Path, threads: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    threads(2)
    model = load(tiny_m3)
    batch = sequences(random_ids(MIXED, model._vocabulary))
    met: list[threading.Thread] = []

    def full(*_: object) -> torch.Tensor:
        met.append(threading.current_thread())
        raise torch.OutOfMemoryError("full")

    with monkeypatch.context() as broken:
        broken.setattr(NativeEncoder, "forward", full)
        with pytest.raises(DeviceOutOfMemoryError) as failure:
            model.run(batch)
    model.free_memory()

    assert failure.value.__traceback__ is not None  # it is alive, as where the engine frees memory
    assert len(set(met)) == 2
    for worker in met:
        worker.join(timeout=10)
        assert not worker.is_alive()
    assert len(model.run(batch)) == len(batch)


def test_an_interrupted_caller_leaves_no_pass_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    ended: list[int] = []

    def work() -> None:
        time.sleep(0.3)
        ended.append(1)

    wait, calls = Crew._wait, iter([KeyboardInterrupt])

    def interrupted(crew: Crew, jobs: Sequence[object]) -> None:
        for error in calls:
            raise error
        wait(crew, jobs)

    run_side_by_side([lambda: 1, lambda: 2])
    monkeypatch.setattr(Crew, "_wait", interrupted)

    with pytest.raises(KeyboardInterrupt):
        run_side_by_side([work, work])

    assert ended == [1, 1]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize("how", ["idle", "at work"])
def test_a_worker_that_ends_is_replaced_and_does_not_keep_its_caller(
    how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    victim, other = run_side_by_side([threading.current_thread] * 2)
    monkeypatch.setattr(workers, "_LOOK_AFTER_S", 0.05)

    with monkeypatch.context() as broken:
        broken.setattr(_Job, "do", ends_the_thread)
        if how == "at work":
            with pytest.raises(RuntimeError, match="worker thread ended"):
                run_side_by_side([lambda: 1, lambda: 2])
        else:
            _own.crews[2]._desks[0].put(_Job(lambda: None))
            victim.join(timeout=10)

    assert not victim.is_alive()
    assert run_side_by_side([threading.current_thread] * 2)[0] is not victim
    other.join(timeout=10)
    assert not other.is_alive()


def ends_the_thread(_: _Job[object]) -> None:
    raise SystemExit


def test_workers_that_cannot_start_leave_nothing_behind(
    threads: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    threads(2)
    start, started = threading.Thread.start, []

    def refuse_the_second(thread: threading.Thread) -> None:
        if thread.name == "bge-worker":
            if started:
                raise RuntimeError("can't start new thread")
            started.append(thread)
        start(thread)

    with monkeypatch.context() as full:
        full.setattr(threading.Thread, "start", refuse_the_second)
        with pytest.raises(RuntimeError, match="can't start"):
            run_side_by_side([lambda: 1, lambda: 2])

    started[0].join(timeout=10)
    assert not started[0].is_alive()
    assert (torch.get_num_threads(), of_a_new_thread()) == (2, 2)
    assert run_side_by_side([lambda: 1, lambda: 2]) == [1, 2]
