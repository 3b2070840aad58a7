from __future__ import annotations

import ctypes
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from bge_components.backends import workers
from bge_components.backends.packing import Plan
from bge_components.backends.workers import dismiss, run_side_by_side, shares

from .sequences import largest_difference, load, random_ids, sequences

CPU = torch.device("cpu")
MIXED = [3, 9, 9, 30, 63, 63, 120]


@pytest.fixture
def threads() -> Iterator[Callable[[int], None]]:
    """Let torch have so many threads, for the calling thread, until the test ends."""
    before = torch.get_num_threads()
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


@pytest.mark.parametrize("seed", range(40))
def test_shares_hold_every_sequence_once_in_order_and_are_nearly_even(
    seed: int, threads: Callable[[int], None]
) -> None:
    maker = np.random.default_rng(seed)
    longest = int(maker.integers(2, 600))
    lengths = sorted(maker.integers(1, longest, size=maker.integers(1, 60)).tolist())
    threads(1 + seed % 9)

    found = shared(lengths)

    assert [length for share in found for length in share] == lengths
    assert all(found)
    assert max(map(sum, found)) * len(found) <= 1.25 * sum(lengths)
    assert len(found) == 1 or sum(lengths) >= 64 * len(found)


def test_a_gpu_shares_nothing_out(threads: Callable[[int], None]) -> None:
    threads(2)

    assert shares(Plan((512,) * 4, torch.device("cuda:0"))) == [slice(0, 4)]


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


def test_workers_split_the_threads_that_torch_has_and_change_nobody_elses(
    threads: Callable[[int], None],
) -> None:
    threads(8)
    later: list[int] = []

    assert run_side_by_side([torch.get_num_threads] * 4) == [2, 2, 2, 2]

    assert torch.get_num_threads() == 8
    newcomer = threading.Thread(target=lambda: later.append(torch.get_num_threads()))
    newcomer.start()
    newcomer.join()
    assert later == [8]
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


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_worker_that_was_killed_is_replaced() -> None:
    victim, _ = run_side_by_side([threading.current_thread] * 2)
    until = time.monotonic() + 30
    while victim.is_alive() and time.monotonic() < until:
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(victim.ident), ctypes.py_object(SystemExit))
        victim_wakes_up(victim)
    assert not victim.is_alive()

    assert run_side_by_side([lambda: 1, lambda: 2]) == [1, 2]


def victim_wakes_up(victim: threading.Thread) -> None:
    """Let a worker that waits in C run a little Python, where an exception from outside reaches it."""
    for desk, thread in zip(workers._own.crew._desks, workers._own.crew._threads):
        if thread is victim:
            desk.put(workers._Job(lambda: None, workers.SimpleQueue()))
    victim.join(timeout=0.05)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_worker_that_ends_in_a_pass_does_not_keep_its_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "_LOOK_AFTER_S", 0.05)
    dismiss()
    with monkeypatch.context() as broken:
        broken.setattr(workers._Job, "do", lambda _: (_ for _ in ()).throw(SystemExit))
        with pytest.raises(RuntimeError, match="worker thread ended"):
            run_side_by_side([lambda: 1, lambda: 2])

    assert run_side_by_side([lambda: 1, lambda: 2]) == [1, 2]


@pytest.mark.parametrize(
    ("folder", "dtype", "tolerance"),
    [
        ("tiny_m3", "float32", 1e-5),
        ("tiny_m3", "bfloat16", 0.02),
        ("tiny_m3", "int8", 0.02),
        ("tiny_bert_mean", "float32", 1e-5),
        ("tiny_reranker", "float32", 1e-5),
        ("tiny_modernbert", "float32", 1e-5),
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
