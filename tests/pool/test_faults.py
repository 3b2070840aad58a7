"""Faults injected into the engine: only the guilty request hears of them, and the next one succeeds."""

import ctypes
import threading
import time
from queue import SimpleQueue

import numpy as np
import pytest

from bge_components.contracts import CallOptions, Output
from bge_components.errors import (
    ComputeError,
    DeviceOutOfMemoryError,
    DeviceStuckError,
    DeviceThreadError,
    NonFiniteError,
)
from bge_components.pool import ModelPool
from bge_components.settings import BatchSettings, PoolSettings
from support.scripted import Script, ScriptedSource, answer, sequence

POISON = 666


def poisoned(batch):
    return any(POISON in one.ids for one in batch)


def make_pool(**batch):
    return ModelPool(
        PoolSettings(devices=("cpu",), budget_bytes=10**9, memo_s=0, batch=BatchSettings(**batch))
    )


def together(lease, script, gate, *requests):
    """Submit requests so that they meet in one batch: behind one that waits at the gate."""
    first = lease.submit([sequence(1, 1)])
    until = time.monotonic() + 5
    while not script.running:
        assert time.monotonic() < until
        time.sleep(0.002)
    futures = [lease.submit(request) for request in requests]
    gate.set()
    assert first.result(5)
    return futures


def good(future, *sequences):
    expected = [answer(one)[Output.DENSE].tolist() for one in sequences]
    return [row[Output.DENSE].tolist() for row in future.result(10)] == expected


def fault_script(fault):
    gate = threading.Event()

    def behave(batch, exact):
        gate.wait(5)
        return fault(batch, exact) if poisoned(batch) else None

    return Script(behave), gate


def raising(error):
    def fault(batch, exact):
        raise error

    return fault


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (raising(RuntimeError("bad weights")), ComputeError),
        (raising(ValueError("bad value")), ComputeError),
        (raising(DeviceOutOfMemoryError("no memory")), DeviceOutOfMemoryError),
        (raising(SystemExit()), DeviceThreadError),
    ],
    ids=["RuntimeError", "ValueError", "out of memory", "killed thread"],
)
def test_a_failing_batch_fails_only_its_guilty_request(fault, expected):
    script, gate = fault_script(fault)
    innocent = [[sequence(i, 2, 3), sequence(i, 5)] for i in range(10, 20)]
    with make_pool() as pool, pool.lease(ScriptedSource(script=script)) as lease:
        futures = together(
            lease, script, gate, *innocent[:5], [sequence(7, 7), sequence(POISON, 1)], *innocent[5:]
        )
        guilty = futures.pop(5)
        assert isinstance(guilty.exception(10), expected)
        for future, request in zip(futures, innocent):
            assert good(future, *request)
        assert good(lease.submit([sequence(4, 4)]), sequence(4, 4))
        assert pool.stats().healthy


def test_the_error_names_the_place_of_the_guilty_text():
    script, gate = fault_script(raising(RuntimeError("bad weights")))
    with make_pool() as pool, pool.lease(ScriptedSource(script=script)) as lease:
        (future,) = together(lease, script, gate, [sequence(2, 2), sequence(3, 3), sequence(POISON, 3)])
        error = future.exception(10)
    assert error.index == 2
    assert "bad weights" in str(error)
    assert isinstance(error.__cause__, RuntimeError)


def test_memory_that_runs_out_halves_the_batch_and_nobody_notices():
    def behave(batch, exact):
        if sum(map(len, batch)) > 40:
            raise DeviceOutOfMemoryError("no memory")

    source = ScriptedSource(script=Script(behave))
    requests = [sequence(*range(i, i + 10)) for i in range(16)]
    with make_pool(max_tokens=160) as pool, pool.lease(source) as lease:
        assert good(lease.submit(requests), *requests)
        assert source.models[0].freed > 0
        assert pool.stats().devices[0].out_of_memory == 2 + 1
        assert pool.stats().devices[0].max_tokens == 40


def test_the_token_budget_grows_back_after_good_batches():
    tight = [True]

    def behave(batch, exact):
        if tight[0] and sum(map(len, batch)) > 50:
            raise DeviceOutOfMemoryError("no memory")

    with make_pool(max_tokens=100) as pool, pool.lease(ScriptedSource(script=Script(behave))) as lease:
        lease.submit([sequence(*range(i, i + 10)) for i in range(10)]).result(5)
        assert pool.stats().devices[0].max_tokens == 50
        tight[0] = False
        for i in range(70):
            lease.submit([sequence(1, i)]).result(5)
        assert pool.stats().devices[0].max_tokens == 100


def test_memory_that_runs_out_on_one_text_drops_idle_models_first():
    idle = ScriptedSource("idle")

    def behave(batch, exact):
        if not idle.models[0].closed:
            raise DeviceOutOfMemoryError("no memory")

    with make_pool() as pool:
        pool.lease(idle).release()
        with pool.lease(ScriptedSource("busy", script=Script(behave))) as lease:
            assert good(lease.submit([sequence(1, 2)]), sequence(1, 2))


def not_a_number(batch):
    rows = [dict(answer(one)) for one in batch]
    for one, row in zip(batch, rows):
        if POISON in one.ids:
            row[Output.DENSE] = np.full(3, np.nan, dtype=np.float32)
    return rows


def test_a_row_that_is_not_finite_is_computed_again_alone_in_fp32():
    gate = threading.Event()

    def behave(batch, exact):
        gate.wait(5)
        return None if exact else not_a_number(batch)

    script = Script(behave)
    with make_pool() as pool, pool.lease(ScriptedSource(script=script)) as lease:
        futures = together(lease, script, gate, [sequence(2, 2)], [sequence(POISON, 1), sequence(3, 3)])
        assert good(futures[0], sequence(2, 2))
        assert good(futures[1], sequence(POISON, 1), sequence(3, 3))
        assert pool.stats().devices[0].exact_reruns == 1
    assert script.batches[-1] == [2]


def test_a_row_that_is_never_finite_fails_its_request_only():
    gate = threading.Event()
    script = Script(lambda batch, exact: gate.wait(5) and not_a_number(batch))
    with make_pool() as pool, pool.lease(ScriptedSource(script=script)) as lease:
        innocent, guilty = together(lease, script, gate, [sequence(2, 2)], [sequence(POISON, 1)])
        assert good(innocent, sequence(2, 2))
        assert isinstance(guilty.exception(5), NonFiniteError)


def test_a_batch_that_hangs_is_given_up_and_only_its_guilty_request_fails():
    gate, forever = threading.Event(), threading.Event()

    def behave(batch, exact):
        gate.wait(5)
        if poisoned(batch):
            forever.wait(20)

    script = Script(behave)
    with make_pool(stuck_after_s=0.3) as pool, pool.lease(ScriptedSource(script=script)) as lease:
        first, guilty, second = together(
            lease, script, gate, [sequence(2, 2)], [sequence(POISON, 1)], [sequence(3, 3)]
        )
        assert good(first, sequence(2, 2))
        assert good(second, sequence(3, 3))
        assert isinstance(guilty.exception(5), DeviceStuckError)
        assert good(lease.submit([sequence(4, 4)]), sequence(4, 4))
        stats = pool.stats()
        assert stats.devices[0].stuck == 2
        assert stats.healthy
        forever.set()


def test_a_stuck_thread_that_comes_back_changes_nothing():
    forever, calls = threading.Event(), []

    def behave(batch, exact):
        calls.append(1)
        if len(calls) == 1:
            forever.wait(20)

    with make_pool(stuck_after_s=0.2) as pool, pool.lease(ScriptedSource(script=Script(behave))) as lease:
        stuck = lease.submit([sequence(1, 1)])
        assert isinstance(stuck.exception(5), DeviceStuckError)
        assert not pool.stats().healthy
        forever.set()
        time.sleep(0.05)
        assert isinstance(stuck.exception(5), DeviceStuckError)
        assert good(lease.submit([sequence(2, 2)]), sequence(2, 2))
        assert pool.stats().healthy


def test_whoever_gets_the_first_good_result_already_finds_the_device_healthy():
    calls, gate, seen = [], threading.Event(), SimpleQueue()

    def behave(batch, exact):
        calls.append(1)
        if len(calls) == 1:
            raise SystemExit
        assert gate.wait(5)

    with make_pool() as pool, pool.lease(ScriptedSource(script=Script(behave))) as lease:
        assert isinstance(lease.submit([sequence(1, 1)]).exception(5), DeviceThreadError)
        assert not pool.stats().healthy
        future = lease.submit([sequence(2, 2)])
        future.add_done_callback(lambda _: seen.put(pool.stats().healthy))
        gate.set()
        assert seen.get(timeout=5)


def test_a_compute_thread_killed_from_outside_is_replaced():
    before = set(threading.enumerate())
    with make_pool() as pool, pool.lease(ScriptedSource()) as lease:
        assert good(lease.submit([sequence(1, 1)]), sequence(1, 1))
        (victim,) = [t for t in set(threading.enumerate()) - before if t.name == "bge-compute-cpu"]
        raised = ctypes.pythonapi.PyThreadState_SetAsyncExc(
            ctypes.c_ulong(victim.ident), ctypes.py_object(SystemExit)
        )
        assert raised == 1
        for i in range(20):
            assert good(lease.submit([sequence(2, i)]), sequence(2, i))
        victim.join(5)
        assert not victim.is_alive()


def test_a_failing_progress_callback_does_not_hurt_the_work(caplog):
    def broken(count):
        raise RuntimeError("no bar")

    with make_pool() as pool, pool.lease(ScriptedSource()) as lease:
        rows = lease.submit([sequence(1, 1), sequence(2, 2)], CallOptions(), on_done=broken).result(5)
    assert len(rows) == 2
    assert "progress callback failed" in caplog.text


def test_a_backend_that_loses_results_is_an_error_and_not_a_hang():
    script = Script(lambda batch, exact: [answer(batch[0])] if len(batch) > 1 else [])
    with make_pool() as pool, pool.lease(ScriptedSource(script=script)) as lease:
        error = lease.submit([sequence(1, 1), sequence(2, 2)]).exception(5)
    assert isinstance(error, ComputeError)
    assert "0 results for 1 sequences" in str(error)


def killing_once(batch_size, then):
    """Memory runs out for the whole batch; the second half of it then ends its thread, or hangs, once."""
    happened = []

    def behave(batch, exact):
        if len(batch) == batch_size:
            raise DeviceOutOfMemoryError("no memory")
        if POISON in batch[-1].ids and len(batch) > 1 and not happened:
            happened.append(1)
            then()

    return Script(behave)


def ending_the_thread():
    raise SystemExit


@pytest.mark.parametrize("then", [ending_the_thread, lambda: time.sleep(1)], ids=["killed", "stuck"])
def test_a_thread_lost_after_half_of_a_request_was_delivered_loses_no_result(then):
    requests = [sequence(1, 2), sequence(3, 4), sequence(5, 6), sequence(POISON, 8)]
    script = killing_once(4, then)
    with make_pool(stuck_after_s=0.3) as pool, pool.lease(ScriptedSource(script=script)) as lease:
        assert good(lease.submit(requests), *requests)
        assert pool.stats().devices[0].threads_lost == 1


def test_a_nan_row_whose_recomputation_ends_the_thread_fails_its_request_and_loses_no_row():
    gate = threading.Event()

    def behave(batch, exact):
        gate.wait(5)
        if exact:
            raise SystemExit
        return not_a_number(batch)

    script = Script(behave)
    with make_pool() as pool, pool.lease(ScriptedSource(script=script)) as lease:
        mixed = [sequence(1, 1), sequence(POISON, 1), sequence(3, 3)]
        innocent, guilty = together(lease, script, gate, [sequence(2, 2)], mixed)
        assert good(innocent, sequence(2, 2))
        assert isinstance(guilty.exception(5), DeviceThreadError)


def test_a_callback_that_looks_at_the_pool_does_not_block_it():
    seen, forever = [], threading.Event()
    script = Script(lambda batch, exact: forever.wait(20) if poisoned(batch) else None)
    with make_pool(stuck_after_s=0.2) as pool, pool.lease(ScriptedSource(script=script)) as lease:
        stuck = lease.submit([sequence(POISON, 1)])
        stuck.add_done_callback(lambda future: seen.append(pool.stats().devices[0].queued))
        assert isinstance(stuck.exception(5), DeviceStuckError)
        assert good(lease.submit([sequence(4, 4)]), sequence(4, 4))
        assert seen == [0]
        forever.set()
