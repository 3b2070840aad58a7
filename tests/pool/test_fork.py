"""A forked child starts with an empty pool that works; the parent's goes on."""

import multiprocessing
import os
import threading
import time

import pytest

from bge_components.contracts import Output
from bge_components.pool import ModelPool, shared_pool, use_pool
from bge_components.settings import PoolSettings
from support.scripted import Script, ScriptedSource, sequence

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform cannot fork"),
    pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning"),
]


def in_child(work, timeout_s=20):
    """Run `work` in a forked child and give what it returned."""
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    child = context.Process(target=lambda: sender.send(work()))
    child.start()
    try:
        assert receiver.poll(timeout_s), "the child hangs"
        return receiver.recv()
    finally:
        child.kill()
        child.join()


def run(pool, source, *sequences):
    with pool.lease(source) as lease:
        return [row[Output.DENSE].tolist() for row in lease.submit(list(sequences)).result(10)]


def test_a_child_starts_empty_and_loads_for_itself():
    source = ScriptedSource()
    with ModelPool(PoolSettings(devices=("cpu",), budget_bytes=10**9)) as pool, use_pool(pool):
        parents = run(pool, source, sequence(1, 2))

        def work():
            empty = shared_pool().stats().models == ()
            return empty, run(shared_pool(), source, sequence(1, 2)), len(source.loads)

        assert in_child(work) == (True, parents, 2)
        assert len(source.loads) == 1
        assert run(pool, source, sequence(3, 4)) == [[7.0, 2.0, 3.0]]


def test_forking_in_the_middle_of_work_leaves_a_child_that_works():
    stop, failures = threading.Event(), []
    with ModelPool(PoolSettings(devices=("cpu",), budget_bytes=10**9)) as pool, use_pool(pool):
        source = ScriptedSource(script=Script(lambda batch, exact: time.sleep(0.001)))

        def hammer():
            i = 0
            while not stop.is_set():
                i += 1
                if run(pool, source, sequence(1, i)) != [[1.0 + i, 2.0, 1.0]]:
                    failures.append(i)

        threads = [threading.Thread(target=hammer) for _ in range(4)]
        for thread in threads:
            thread.start()
        try:
            for _ in range(5):
                assert in_child(lambda: run(shared_pool(), source, sequence(2, 2))) == [[4.0, 2.0, 2.0]]
        finally:
            stop.set()
            for thread in threads:
                thread.join(10)
    assert not failures
