from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch

from bge_components.backends import sharing, workers
from bge_components.backends.pace import Pace
from bge_components.backends.packing import Plan
from bge_components.backends.shares import Share
from bge_components.backends.sharing import run_pass
from bge_components.backends.team import dismiss_teams
from bge_components.backends.workers import dismiss_workers, run_side_by_side

from .sequences import largest_difference, load, random_ids, sequences

CPU = torch.device("cpu")
MIXED = [3, 9, 9, 30, 63, 63, 120]


@pytest.fixture(autouse=True)
def threads() -> Iterator[Callable[[int], None]]:
    """Let torch have so many threads, for the calling thread, until the test ends; its workers end then too."""
    before = torch.get_num_threads()
    dismiss_workers()
    dismiss_teams()
    yield torch.set_num_threads
    dismiss_workers()
    dismiss_teams()
    torch.set_num_threads(before)


def shared(lengths: list[int]) -> list[list[int]]:
    return [[lengths[place] for place in share] for share in sharing._shares(Plan(tuple(lengths), CPU))]


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
        (2, [40, 42, 52], [[40, 42], [52]]),
    ],
    ids=str,
)
def test_a_batch_is_cut_where_both_sides_are_worth_a_thread(
    count: int, lengths: list[int], expected: list[list[int]], threads: Callable[[int], None]
) -> None:
    threads(count)

    assert sorted(shared(lengths)) == sorted(expected)


def test_shares_hold_every_sequence_once_and_are_nearly_even(threads: Callable[[int], None]) -> None:
    maker = np.random.default_rng(0)
    cuts = 0
    for trial in range(200):
        longest = int(maker.integers(2, 600))
        lengths = sorted(maker.integers(1, longest, size=maker.integers(1, 60)).tolist())
        threads(1 + trial % 9)

        found = shared(lengths)

        assert sorted(length for share in found for length in share) == lengths
        assert all(share == sorted(share) for share in found)
        assert all(found)
        assert max(map(sum, found)) * len(found) <= 1.25 * sum(lengths)
        assert len(found) == 1 or sum(lengths) >= 64 * len(found)
        cuts += len(found) > 1
    assert cuts > 100


def where(_: Share) -> tuple[threading.Thread, int]:
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


def test_what_is_not_shared_out_runs_on_the_one_team_whoever_asks(threads: Callable[[int], None]) -> None:
    threads(2)
    small = Plan((13,), CPU)
    ((team, count),) = run_pass(small, where)

    assert (team.name, count) == ("bge-team", 2)
    assert team is not threading.current_thread()
    assert run_pass(Plan((300,), CPU), where) == [(team, 2)]
    assert run_pass(Plan((64, 64), CPU), where, shareable=False) == [(team, 2)]
    with ThreadPoolExecutor(1) as other:
        other.submit(torch.set_num_threads, 2).result()
        assert other.submit(run_pass, small, where).result() == [(team, 2)]


def test_a_small_batch_has_one_thread_of_its_own_beside_another_pass(threads: Callable[[int], None]) -> None:
    threads(2)
    small = Plan((13,), CPU)
    ((team, _),) = run_pass(small, where)
    with another_pass():
        ((worker, count),) = run_pass(small, where)
    assert (worker.name, count) == ("bge-worker", 1)
    assert worker is not team
    assert run_pass(small, where) == [(team, 2)]


def test_beside_a_long_pass_the_others_have_another_team(threads: Callable[[int], None]) -> None:
    threads(2)
    here = threading.current_thread()
    ((first, _),) = run_pass(Plan((13,), CPU), where)
    with another_pass():
        ((second, count),) = run_pass(Plan((300,), CPU), where)
        assert (second.name, count) == ("bge-team", 2)
        assert second not in (first, here)
        for plan in (Plan((64, 64), CPU), Plan((13,), CPU)):
            assert run_pass(plan, where, shareable=False) == [(second, 2)]
        assert (
            len({worker for worker, _ in run_pass(Plan((64, 64), CPU), where)} - {here, first, second}) == 2
        )
        threads(1)
        assert run_pass(Plan((13,), CPU), where) == [(here, 1)]


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

    ((_, count),) = run_pass(Plan((13,), CPU), where)
    assert count == 2


FORK = """
import os, threading, warnings
warnings.simplefilter("ignore", DeprecationWarning)
import torch
from bge_components.backends import sharing, workers
from bge_components.backends.pace import Pace
from bge_components.backends.packing import Plan

plan = Plan((13,), torch.device("cpu"))


def in_a_child(_):
    with workers._starting:
        child = os.fork()
    if not child:
        alone = len(sharing._under_way) == 0
        os._exit(0 if alone and sharing.run_pass(plan, lambda _: 7) == [7] else 3)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


assert sharing.run_pass(plan, in_a_child) == [0]
child = os.fork() if workers._starting.acquire() else None
if child == 0:
    thread = threading.Thread(target=lambda: sharing.run_pass(plan, lambda _: os._exit(0)))
    thread.start()
    thread.join()
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
os._exit(0)  # no pool is there to end the team ahead of the interpreter
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_knows_nothing_of_the_passes_and_locks_of_its_parent() -> None:
    subprocess.run([sys.executable, "-c", FORK], check=True, timeout=60)


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
    monkeypatch.setattr(sharing, "run_side_by_side", lambda works: asked.append(len(works)) or run(works))
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
    monkeypatch.setattr(sharing, "run_side_by_side", lambda _: pytest.fail("it was shared out"))

    assert len(model.run(sequences(random_ids([400] * 2, model._vocabulary)))) == 2


@pytest.mark.parametrize("one", [True, False])
def test_a_small_pass_runs_where_such_passes_were_quicker(
    one: bool, threads: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    threads(2)
    monkeypatch.setattr(sharing, "team_sleeps", lambda: True)
    pace, small = Pace(), Plan((13,), CPU)
    for way, took_s in ((True, 0.001 if one else 0.1), (False, 0.01)):
        for _ in range(2):
            pace.learn(13, asleep=True, one=way, took_s=took_s)

    ((worker, count),) = run_pass(small, where, pace=pace)

    assert (worker.name, count) == (("bge-worker", 1) if one else ("bge-team", 2))


def test_what_a_small_pass_took_is_learned_and_larger_ones_are_not(
    threads: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    threads(2)
    learned = []
    pace = Pace()
    monkeypatch.setattr(pace, "learn", lambda tokens, **others: learned.append((tokens, others)))

    run_pass(Plan((13,), CPU), lambda _: time.sleep(0.01), pace=pace)
    run_pass(Plan((300,), CPU), where, pace=pace)

    ((tokens, others),) = learned
    assert tokens == 13
    assert not others["one"]
    assert 0.01 <= others["took_s"] < 1
