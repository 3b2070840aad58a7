from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch

from bge_components.backends import workers
from bge_components.backends.native import NativeEncoder
from bge_components.backends.packing import Plan
from bge_components.backends.workers import (
    _Crew,
    _Job,
    _own,
    dismiss,
    run_pass,
    run_side_by_side,
    shares,
)
from bge_components.errors import DeviceOutOfMemoryError

from .sequences import largest_difference, load, random_ids, sequences

CPU = torch.device("cpu")
MIXED = [3, 9, 9, 30, 63, 63, 120]


@pytest.fixture(autouse=True)
def threads() -> Iterator[Callable[[int], None]]:
    """Let torch have so many threads, for the calling thread, until the test ends; its workers end then too."""
    before = torch.get_num_threads()
    dismiss()
    yield torch.set_num_threads
    dismiss()
    torch.set_num_threads(before)


def shared(lengths: list[int]) -> list[list[int]]:
    return [lengths[part] for part in shares(Plan(tuple(lengths), CPU))]


@pytest.mark.parametrize(
    ("count", "lengths", "expected"),
    [
        (2, [64, 64], [[64], [64]]),
        (2, [20] * 8, [[20] * 4, [20] * 4]),
        (2, [10, 20, 30, 60, 120], [[10, 20, 30, 60], [120]]),
        (4, [100] * 8, [[100, 100]] * 4),
        (16, [100] * 8, [[100, 100]] * 4),
        (6, [100] * 6, [[100, 100]] * 3),
        (5, [100] * 6, [[100] * 3] * 2),
        (1, [512] * 4, [[512] * 4]),
        (2, [8192], [[8192]]),
        (2, [400, 400, 400], [[400, 400, 400]]),
        (2, [5, 5, 5, 1000], [[5, 5, 5, 1000]]),
        (2, [13] * 9, [[13] * 9]),
    ],
    ids=str,
)
def test_a_batch_is_cut_where_both_sides_are_worth_a_thread(
    count: int, lengths: list[int], expected: list[list[int]], threads: Callable[[int], None]
) -> None:
    threads(count)

    assert shared(lengths) == expected


def test_shares_hold_every_sequence_once_in_order_and_are_nearly_even(threads: Callable[[int], None]) -> None:
    maker = np.random.default_rng(0)
    cuts = 0
    for trial in range(200):
        longest = int(maker.integers(2, 600))
        lengths = sorted(maker.integers(1, longest, size=maker.integers(1, 60)).tolist())
        threads(1 + trial % 9)

        found = shared(lengths)

        assert [length for share in found for length in share] == lengths
        assert all(found)
        assert max(map(sum, found)) * len(found) <= 1.25 * sum(lengths)
        assert len(found) == 1 or sum(lengths) >= 64 * len(found)
        cuts += len(found) > 1
    assert cuts > 100


def where(_: slice) -> tuple[threading.Thread, int]:
    return threading.current_thread(), torch.get_num_threads()


@contextmanager
def another_pass() -> Iterator[None]:
    """Have a pass under way on another thread while the block runs."""
    begun, over = threading.Event(), threading.Event()
    with ThreadPoolExecutor(1) as other:
        running = other.submit(run_pass, Plan((13,), CPU), lambda _: (begun.set(), over.wait(10)))
        assert begun.wait(10)
        try:
            yield
        finally:
            over.set()
        running.result()


def test_a_small_batch_has_one_thread_of_its_own_beside_another_pass(threads: Callable[[int], None]) -> None:
    threads(2)
    here = threading.current_thread()
    small = Plan((13,), CPU)

    assert run_pass(small, where) == [(here, 2)]
    with another_pass():
        ((worker, count),) = run_pass(small, where)
    assert (worker.name, count) == ("bge-worker", 1)
    assert run_pass(small, where) == [(here, 2)]


def test_beside_another_pass_nothing_else_changes(threads: Callable[[int], None]) -> None:
    threads(2)
    here = threading.current_thread()
    with another_pass():
        assert run_pass(Plan((300,), CPU), where) == [(here, 2)]
        assert run_pass(Plan((64, 64), CPU), where, shareable=False) == [(here, 2)]
        assert run_pass(Plan((13,), CPU), where, shareable=False) == [(here, 2)]
        assert len({worker for worker, _ in run_pass(Plan((64, 64), CPU), where)} - {here}) == 2
        threads(1)
        assert run_pass(Plan((13,), CPU), where) == [(here, 1)]


def test_workers_of_another_number_of_threads_are_dismissed(threads: Callable[[int], None]) -> None:
    threads(2)
    old = run_side_by_side([threading.current_thread] * 2)
    threads(4)
    run_side_by_side([threading.current_thread] * 4)

    for worker in old:
        worker.join(timeout=10)
    assert not any(worker.is_alive() for worker in old)


def test_a_thread_that_computes_first_while_workers_start_has_the_usual_number(
    threads: Callable[[int], None],
) -> None:
    threads(2)
    with ThreadPoolExecutor(1) as new, ThreadPoolExecutor(1) as starting:
        with workers._starting, workers._number_of_new_threads_kept():
            starting.submit(workers._take_threads, 1).result()
            found = new.submit(run_pass, Plan((13,), CPU), lambda _: torch.get_num_threads())
            time.sleep(0.05)
        assert found.result() == [2]


def test_a_pass_that_fails_is_no_longer_under_way(threads: Callable[[int], None]) -> None:
    threads(2)
    for lengths in ((13,), (64, 64)):
        with pytest.raises(ZeroDivisionError):
            run_pass(Plan(lengths, CPU), lambda _: 1 / 0)

    here = threading.current_thread()
    assert run_pass(Plan((13,), CPU), lambda _: threading.current_thread()) == [here]


FORK = """
import os, threading, warnings
warnings.simplefilter("ignore", DeprecationWarning)
import torch
from bge_components.backends import workers
from bge_components.backends.packing import Plan

plan = Plan((13,), torch.device("cpu"))


def in_a_child(_):
    with workers._starting:
        child = os.fork()
    if not child:
        alone = len(workers._under_way) == 0
        os._exit(0 if alone and workers.run_pass(plan, lambda _: 7) == [7] else 3)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


assert workers.run_pass(plan, in_a_child) == [0]
child = os.fork() if workers._starting.acquire() else None
if child == 0:
    thread = threading.Thread(target=lambda: workers.run_pass(plan, lambda _: os._exit(0)))
    thread.start()
    thread.join()
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_knows_nothing_of_the_passes_and_locks_of_its_parent() -> None:
    subprocess.run([sys.executable, "-c", FORK], check=True, timeout=60)


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
    dismiss()

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

    wait, calls = _Crew._wait, iter([KeyboardInterrupt])

    def interrupted(crew: _Crew, jobs: Sequence[object]) -> None:
        for error in calls:
            raise error
        wait(crew, jobs)

    run_side_by_side([lambda: 1, lambda: 2])
    monkeypatch.setattr(_Crew, "_wait", interrupted)

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


@pytest.mark.parametrize(
    ("folder", "dtype", "tolerance"),
    [
        ("tiny_m3", "float32", 1e-5),
        ("tiny_m3", "bfloat16", 0.02),
        ("tiny_m3", "int8", 0.02),
        ("tiny_bert_mean", "float32", 1e-5),
        ("tiny_reranker", "float32", 1e-5),
    ],
)
@pytest.mark.parametrize("count", [2, 4])
def test_a_shared_pass_gives_what_one_thread_gives(
    folder: str,
    dtype: str,
    tolerance: float,
    count: int,
    threads: Callable[[int], None],
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path: Path = request.getfixturevalue(folder)
    model = load(path, dtype)
    batch = sequences(random_ids(MIXED * 3, model._vocabulary), model.info.outputs)
    asked: list[int] = []
    run = run_side_by_side
    monkeypatch.setattr(workers, "run_side_by_side", lambda works: asked.append(len(works)) or run(works))
    threads(1)
    alone = model.run(batch)
    assert asked == []

    threads(count)
    together = model.run(batch)

    assert asked == [count]
    assert largest_difference(together, alone) < tolerance


def test_a_network_that_writes_to_itself_is_not_shared_out(
    tiny_modernbert: Path, threads: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    threads(2)
    model = load(tiny_modernbert)
    monkeypatch.setattr(workers, "run_side_by_side", lambda _: pytest.fail("it was shared out"))

    assert len(model.run(sequences(random_ids([400] * 2, model._vocabulary)))) == 2
