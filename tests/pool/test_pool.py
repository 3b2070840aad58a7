import asyncio
import copy
import gc
import pickle
import threading
import time
import weakref
from concurrent.futures import ThreadPoolExecutor, wait

import pytest

from bge_components.contracts import CallOptions, Output, Priority
from bge_components.errors import (
    CheckpointNotFoundError,
    DeadlineError,
    DeviceThreadError,
    InputError,
    PoolClosedError,
    PoolError,
    PoolFullError,
    QueueFullError,
)
from bge_components.pool import ModelPool, shared_pool, use_pool
from bge_components.pool.gathering import Gathering
from bge_components.settings import BatchSettings, PoolSettings
from support.scripted import Script, ScriptedSource, answer, sequence


def make_pool(**settings):
    settings.setdefault("devices", ("cpu",))
    settings.setdefault("budget_bytes", 10**9)
    return ModelPool(PoolSettings(**settings))


@pytest.fixture
def pool():
    with make_pool() as pool:
        yield pool


def run(pool, source, *sequences, **options):
    with pool.lease(source) as lease:
        return lease.submit(list(sequences), CallOptions(**options)).result(10)


def eventually(condition, seconds=5.0):
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "did not happen in time"
        time.sleep(0.005)


# ------------------------------------------------------------------ loading


def test_sixty_four_first_calls_at_once_load_once(pool):
    source = ScriptedSource(load_s=0.1)
    with ThreadPoolExecutor(64) as threads:
        results = list(threads.map(lambda _: run(pool, source, sequence(1, 2)), range(64)))
    assert len(source.loads) == 1
    assert pool.stats().loads == 1
    assert all(result[0][Output.DENSE][0] == 3 for result in results)


def test_two_sources_of_one_model_share_one_copy(pool):
    first, second = ScriptedSource("a", folder="/same", load_s=0.05), ScriptedSource("b", folder="/same")
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda i: run(pool, (first, second)[i % 2], sequence(1, 2)), range(8)))
    assert len(first.loads) + len(second.loads) == 1
    assert len(pool.stats().models) == 1


def test_a_failed_load_is_told_to_all_who_wait_and_then_forgotten(pool):
    source = ScriptedSource(load_s=0.1, fail_loads=[CheckpointNotFoundError("nowhere")])
    futures = [pool.open(source) for _ in range(5)]
    wait(futures, 5)
    assert all(isinstance(future.exception(), CheckpointNotFoundError) for future in futures)
    assert run(pool, source, sequence(4, 5))[0][Output.DENSE][0] == 9
    assert (pool.stats().loads, pool.stats().failed_loads) == (1, 1)


def test_a_load_that_takes_too_long_fails_the_caller_and_serves_the_next(pool):
    source = ScriptedSource(load_s=0.4)
    with pytest.raises(DeadlineError, match="timeout_s"):
        pool.open(source, timeout_s=0.05).result(5)
    assert run(pool, source, sequence(1, 2))
    assert len(source.loads) == 1
    eventually(lambda: pool.stats().models[0].leases == 0)


# ------------------------------------------------------------------ room


def test_the_least_recently_used_idle_model_makes_room():
    with make_pool(budget_bytes=250) as pool:
        a, b, c = (ScriptedSource(name) for name in "abc")
        for source in (a, b, a, c):
            run(pool, source, sequence(1, 2))
        assert [model.info.name for model in pool.stats().models] == ["a", "c"]
        assert b.models[0].closed
        assert pool.stats().evictions == 1
        assert pool.stats().nbytes == 200


def test_a_model_in_use_is_never_dropped_and_the_load_waits_for_it():
    with make_pool(budget_bytes=150) as pool:
        a, b = ScriptedSource("a"), ScriptedSource("b")
        lease = pool.lease(a)
        opening = pool.open(b)
        time.sleep(0.1)
        assert not opening.done()
        assert not a.models[0].closed
        lease.release()
        opening.result(5).release()
        assert a.models[0].closed


def test_a_model_without_room_is_refused_with_the_numbers():
    with make_pool(budget_bytes=150, load_wait_s=0.05) as pool:
        with pytest.raises(PoolFullError, match="200 bytes"):
            pool.lease(ScriptedSource("big", nbytes=200))
        with pool.lease(ScriptedSource("a")), pytest.raises(PoolFullError, match="150"):
            pool.lease(ScriptedSource("b"))
        run(pool, ScriptedSource("c"), sequence(1, 2))


def test_a_pinned_model_stays_until_it_is_unpinned():
    with make_pool(budget_bytes=150, load_wait_s=0.05) as pool:
        a, b = ScriptedSource("a"), ScriptedSource("b")
        assert pool.warm_up(a, pin=True).name == "a"
        with pytest.raises(PoolFullError):
            pool.lease(b)
        pool.unpin(a)
        run(pool, b, sequence(1, 2))
        assert a.models[0].closed


def test_an_idle_model_expires():
    with make_pool(idle_s=0.1) as pool:
        source = ScriptedSource()
        run(pool, source, sequence(1, 2))
        eventually(lambda: source.models[0].closed)
        assert pool.stats().models == ()
        run(pool, source, sequence(1, 2))
        assert len(source.loads) == 2


def test_evict_drops_idle_models_on_request(pool):
    a, b = ScriptedSource("a"), ScriptedSource("b")
    run(pool, a, sequence(1, 2))
    run(pool, b, sequence(1, 2))
    with pool.lease(b):
        assert pool.evict() == 1
    assert pool.evict(b) == 1
    assert pool.stats().models == ()


# ------------------------------------------------------------------ devices


def test_the_least_loaded_device_gets_the_next_model():
    with make_pool(devices=("cpu:0", "cpu:1")) as pool:
        sources = [ScriptedSource("a", nbytes=300), ScriptedSource("b"), ScriptedSource("c")]
        for source in sources:
            run(pool, source, sequence(1, 2))
        assert [source.loads for source in sources] == [["cpu:0"], ["cpu:1"], ["cpu:1"]]


def test_a_device_that_was_asked_for_is_used(pool):
    source = ScriptedSource(device="cpu:7")
    run(pool, source, sequence(1, 2))
    assert source.loads == ["cpu:7"]
    assert {device.name for device in pool.stats().devices} == {"cpu:7"}


def test_a_busy_model_gets_a_replica_on_another_device_and_both_work():
    gate = threading.Event()
    script = Script(lambda batch, exact: gate.wait(5) and None)
    with make_pool(devices=("cpu:0", "cpu:1"), replicas=2, batch=BatchSettings(max_tokens=8)) as pool:
        source = ScriptedSource(script=script)
        with pool.lease(source) as lease:
            first = lease.submit([sequence(i, i + 1, i + 2) for i in range(20)])
            pool.lease(source).release()  # sees the queue and starts a replica
            eventually(lambda: len(pool.stats().models) == 2)
        with pool.lease(source) as both:
            second = both.submit([sequence(100 + i, 1) for i in range(5)])
            gate.set()
            assert [row[Output.DENSE][1] for row in first.result(5)] == [3.0] * 20
            assert [row[Output.DENSE][1] for row in second.result(5)] == [2.0] * 5
        assert sorted(source.loads) == ["cpu:0", "cpu:1"]
        assert all(device.batches for device in pool.stats().devices)


# ------------------------------------------------------------------ requests


def test_results_come_in_the_order_of_the_request_and_equal_sequences_run_once(pool):
    source = ScriptedSource()
    sequences = [sequence(9, 1), sequence(1, 2, 3, 4, 5), sequence(9, 1), sequence(2, 2, 2)]
    rows = run(pool, source, *sequences)
    assert [row[Output.DENSE].tolist() for row in rows] == [
        answer(one)[Output.DENSE].tolist() for one in sequences
    ]
    assert sum(map(len, source.script.batches)) == 3


def test_an_empty_request_is_answered_at_once(pool):
    assert run(pool, ScriptedSource()) == []


def test_the_same_text_again_is_answered_from_the_memo(pool):
    source = ScriptedSource()
    run(pool, source, sequence(1, 2, 3))
    run(pool, source, sequence(1, 2, 3))
    assert len(source.script.batches) == 1
    assert pool.stats().models[0].memo_hits == 1


def test_dense_then_sparse_of_the_same_texts_costs_one_pass_once_learned(pool):
    source = ScriptedSource()
    dense, sparse = frozenset({Output.DENSE}), frozenset({Output.SPARSE})
    for word in (1, 2, 3):
        run(pool, source, sequence(word, 7, outputs=dense))
        run(pool, source, sequence(word, 7, outputs=sparse))
    assert len(source.script.batches) == 4  # the first text twice, the others once


def test_what_arrives_while_the_device_is_busy_is_computed_together(pool):
    gate = threading.Event()
    script = Script(lambda batch, exact: gate.wait(5) and None)
    source = ScriptedSource(script=script)
    with pool.lease(source) as lease:
        first = lease.submit([sequence(1, 2)])
        eventually(lambda: script.running == 1)
        rest = [lease.submit([sequence(5, i)]) for i in range(10)]
        gate.set()
        wait([first, *rest], 5)
    assert [len(batch) for batch in script.batches] == [1, 10]


def test_callers_that_are_back_before_their_batch_is_over_are_not_waited_for_twice(pool, monkeypatch):
    waiting = []
    served = Gathering.served
    monkeypatch.setattr(Gathering, "served", lambda *given: (served(*given), waiting.append(given[-1]))[0])
    gate = threading.Event()
    source = ScriptedSource(script=Script(lambda batch, exact: gate.wait(5) and None))
    with pool.lease(source) as lease:
        lone = lease.submit([sequence(1)])
        eventually(lambda: source.script.running == 1)
        again = []
        calls = [lease.submit([sequence(2, i)]) for i in range(4)]
        for number, call in enumerate(calls):  # called on the compute thread, in the middle of the batch
            call.add_done_callback(lambda _, number=number: again.append(lease.submit([sequence(3, number)])))
        gate.set()
        wait([lone, *calls], 5)
        eventually(lambda: len(again) == 4)
        wait(again, 5)
    eventually(lambda: len(waiting) == 3)
    assert [len(batch) for batch in source.script.batches] == [1, 4, 4]
    assert waiting == [4, 0, 0]


def test_one_thread_computes_one_priority_whatever_the_number_of_callers(pool):
    source, other = ScriptedSource("a"), ScriptedSource("b")
    other = ScriptedSource("b", script=source.script)
    with ThreadPoolExecutor(16) as threads:
        list(threads.map(lambda i: run(pool, (source, other)[i % 2], sequence(i, 1, 2)), range(300)))
    assert source.script.overlaps == 0
    assert source.script.threads == {"bge-compute-cpu"}


def test_a_full_queue_is_an_error_or_a_wait_as_the_caller_likes():
    gate = threading.Event()
    script = Script(lambda batch, exact: gate.wait(5) and None)
    settings = BatchSettings(max_queued=3, max_items=1)
    with make_pool(batch=settings) as pool, pool.lease(ScriptedSource(script=script)) as lease:
        running = lease.submit([sequence(1, 2)])
        eventually(lambda: script.running == 1)
        queued = lease.submit([sequence(2, i) for i in range(3)])
        with pytest.raises(QueueFullError, match="max_queued"):
            lease.submit([sequence(3, 3)], CallOptions(on_full="error"))
        waiting = lease.submit([sequence(4, 4)], CallOptions(on_full="wait"))
        gate.set()
        done, _ = wait([running, queued, waiting], 5)
        assert len(done) == 3
        assert waiting.result()[0][Output.DENSE][0] == 8


def test_cancelled_work_is_not_run(pool):
    gate = threading.Event()
    script = Script(lambda batch, exact: gate.wait(5) and None)
    with pool.lease(ScriptedSource(script=script)) as lease:
        first = lease.submit([sequence(1, 2)])
        eventually(lambda: script.running == 1)
        dropped = lease.submit([sequence(7, 7, 7)])
        assert dropped.cancel()
        kept = lease.submit([sequence(5, 5)])
        gate.set()
        assert first.result(5)
        assert kept.result(5)
    assert [3] not in script.batches


def test_a_deadline_is_kept_while_another_batch_runs(pool):
    gate = threading.Event()
    script = Script(lambda batch, exact: gate.wait(5) and None)
    with pool.lease(ScriptedSource(script=script)) as lease:
        first = lease.submit([sequence(1, 2)])
        late = lease.submit([sequence(3, 3)], CallOptions(timeout_s=0.05))
        with pytest.raises(DeadlineError, match=r"0\.05"):
            late.result(2)
        gate.set()
        assert first.result(5)


def test_a_cpu_computes_a_query_while_a_batch_of_bulk_texts_runs(pool):
    gate = threading.Event()
    script = Script(lambda batch, exact: (batch[0].ids[0] == 3 or gate.wait(5)) and None)
    with pool.lease(ScriptedSource(script=script)) as lease:
        bulk = lease.submit([sequence(1, i) for i in range(3)])
        eventually(lambda: script.running == 1)
        waiting = lease.submit([sequence(2, i) for i in range(3)])
        lease.submit([sequence(3, 3)], CallOptions(priority=Priority.QUERY)).result(5)
        (device,) = pool.stats().devices
        assert (device.batches, device.sequences, device.queued) == (2, 4, 3)
        assert not bulk.done()
        assert not waiting.done()
        gate.set()
        wait([bulk, waiting], 5)
    assert script.threads == {"bge-compute-cpu", "bge-compute-cpu-queries"}


def test_a_query_thread_that_ends_on_a_cpu_leaves_the_bulk_alone(pool):
    gate = threading.Event()

    def behave(batch, exact):
        if batch[0].ids[0] == 3:
            raise SystemExit
        if batch[0].ids[0] == 1:
            gate.wait(5)

    with pool.lease(ScriptedSource(script=(script := Script(behave)))) as lease:
        bulk = lease.submit([sequence(1, 1)])
        eventually(lambda: script.running == 1)
        with pytest.raises(DeviceThreadError):
            lease.submit([sequence(3, 3)], CallOptions(priority=Priority.QUERY)).result(5)
        (device,) = pool.stats().devices
        assert not device.healthy
        assert "SystemExit" in device.trouble
        assert device.threads_lost == 1
        lease.submit([sequence(2, 3)], CallOptions(priority=Priority.QUERY)).result(5)
        eventually(lambda: pool.stats().healthy)
        assert not bulk.done()
        gate.set()
        assert bulk.result(5)


def test_a_cpu_lets_a_query_in_beside_a_full_queue_of_bulk_texts():
    gate = threading.Event()
    script = Script(lambda batch, exact: (batch[0].ids[0] == 3 or gate.wait(5)) and None)
    with (
        make_pool(batch=BatchSettings(max_items=1, max_queued=2)) as pool,
        pool.lease(ScriptedSource(script=script)) as lease,
    ):
        bulk = [lease.submit([sequence(1, 1)])]
        eventually(lambda: script.running == 1)
        bulk += [lease.submit([sequence(2, i)]) for i in range(2)]
        with pytest.raises(QueueFullError):
            lease.submit([sequence(1, 9)], CallOptions(on_full="error"))
        query = CallOptions(priority=Priority.QUERY, on_full="error")
        assert lease.submit([sequence(3, 3)], query).result(5)
        gate.set()
        wait(bulk, 5)


def test_one_thread_has_a_model_that_two_cannot_run_at_once(pool):
    script = Script(shareable=False)
    with pool.lease(ScriptedSource(script=script)) as lease:
        futures = [lease.submit([sequence(1, i)], CallOptions(priority=Priority(i % 2))) for i in range(50)]
        wait(futures, 5)
    assert script.overlaps == 0
    assert script.threads == {"bge-compute-cpu"}


def test_closing_stops_queries_and_bulk_texts_before_it_waits_for_either(pool):
    gates = {1: threading.Event(), 3: threading.Event()}
    script = Script(lambda batch, exact: gates[int(batch[0].ids[0])].wait(5) and None)
    lease = pool.lease(ScriptedSource(script=script))
    query = CallOptions(priority=Priority.QUERY)
    running = [lease.submit([sequence(1, 1)]), lease.submit([sequence(3, 1)], query)]
    eventually(lambda: script.running == 2)
    waiting = [lease.submit([sequence(1, 2)]), lease.submit([sequence(3, 2)], query)]
    closing = threading.Thread(target=pool.close)
    closing.start()
    for future in waiting:
        with pytest.raises(PoolClosedError):
            future.result(5)
    for gate in gates.values():
        gate.set()
    assert all(future.result(5) for future in running)
    closing.join(5)
    assert not closing.is_alive()


def test_queries_overtake_bulk_where_one_thread_computes_both():
    gate, order = threading.Event(), []
    script = Script(lambda batch, exact: (gate.wait(5), order.append(int(batch[0].ids[0])))[0] and None)
    with (
        make_pool(devices=("cuda:0",), batch=BatchSettings(max_items=1)) as pool,
        pool.lease(ScriptedSource(script=script)) as lease,
    ):
        first = lease.submit([sequence(1, 1)])
        eventually(lambda: script.running == 1)
        bulk = lease.submit([sequence(2, i) for i in range(3)])
        query = lease.submit([sequence(3, 3)], CallOptions(priority=Priority.QUERY))
        gate.set()
        wait([first, bulk, query], 5)
    assert order[:2] == [1, 3]


def test_a_query_does_not_wait_behind_a_bulk_that_waits_for_room():
    gate, order = threading.Event(), []
    script = Script(lambda batch, exact: (gate.wait(5), order.append(int(batch[0].ids[0])))[0] and None)
    settings = BatchSettings(max_items=1, max_queued=4)
    with (
        make_pool(devices=("cuda:0",), batch=settings) as pool,
        pool.lease(ScriptedSource(script=script)) as lease,
    ):
        first = lease.submit([sequence(1, 1)])
        eventually(lambda: script.running == 1)
        bulk = [lease.submit([sequence(2, part, i) for i in range(4)]) for part in range(5)]
        query = lease.submit([sequence(3, 3)], CallOptions(priority=Priority.QUERY))
        gate.set()
        wait([first, *bulk, query], 5)
    assert order.index(3) == 1


def test_requests_that_nobody_waits_for_leave_room_in_the_queue():
    gate = threading.Event()
    script = Script(lambda batch, exact: gate.wait(5) and None)
    settings = BatchSettings(max_queued=3)
    with make_pool(batch=settings) as pool, pool.lease(ScriptedSource(script=script)) as lease:
        running = lease.submit([sequence(1, 2)])
        eventually(lambda: script.running == 1)
        for i in range(3):
            lease.submit([sequence(2, i)]).cancel()
        fresh = lease.submit([sequence(3, 3)], CallOptions(on_full="error"))
        gate.set()
        assert running.result(5)
        assert fresh.result(5)


def test_a_call_can_limit_the_batches_its_texts_are_in(pool):
    source = ScriptedSource()
    sequences = [sequence(7, i) for i in range(10)]
    run(pool, source, *sequences, batch_size=3)
    assert max(map(len, source.script.batches)) == 3
    run(pool, source, *[sequence(8, i) for i in range(10)], batch_tokens=4)
    assert all(sum(batch) <= 4 for batch in source.script.batches[4:])


def test_a_load_whose_thread_cannot_start_fails_and_the_next_one_works(pool, monkeypatch):
    source = ScriptedSource()

    def no_more_threads(thread):
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", no_more_threads)
        with pytest.raises(PoolError, match="no thread could be started"):
            pool.open(source).result(1)
    assert run(pool, source, sequence(1, 2))


def test_finished_requests_are_not_kept_until_their_deadline(pool):
    source = ScriptedSource()
    with pool.lease(source) as lease:
        held = weakref.WeakSet()
        for i in range(20):
            future = lease.submit([sequence(5, i)], CallOptions(timeout_s=100))
            held.add(future)
            future.result(5)
        del future
    gc.collect()
    assert len(held) == 0


async def test_closing_the_pool_tells_async_callers_that_it_was_closed():
    gate = threading.Event()
    script = Script(lambda batch, exact: gate.wait(5) and None)
    pool, source = make_pool(), ScriptedSource(script=script)

    def steps():
        lease = yield pool.open(source)
        with lease:
            return (yield lease.submit([sequence(1, 2)]))

    calls = [asyncio.create_task(pool.adrive(steps())) for _ in range(3)]
    await asyncio.to_thread(eventually, lambda: script.running == 1)
    threading.Timer(0.1, gate.set).start()
    await asyncio.to_thread(pool.close)
    outcomes = await asyncio.gather(*calls, return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} <= {PoolClosedError, list}
    with pytest.raises(PoolClosedError):
        await pool.adrive(steps())


async def test_a_query_is_not_kept_from_tokenising_by_bulks(pool):
    busy = threading.Event()

    def slow():
        busy.wait(5)
        yield from ()

    def quick():
        yield from ()
        return "done"

    bulks = [asyncio.create_task(pool.adrive(slow(), Priority.BULK)) for _ in range(12)]
    await asyncio.sleep(0.05)
    assert await asyncio.wait_for(pool.adrive(quick(), Priority.QUERY), 2) == "done"
    busy.set()
    await asyncio.gather(*bulks)


# ------------------------------------------------------------------ life and death


def test_a_released_lease_cannot_be_used(pool):
    lease = pool.lease(ScriptedSource())
    lease.release()
    lease.release()
    with pytest.raises(PoolError, match="given back"):
        lease.submit([sequence(1, 2)])
    assert pool.stats().models[0].leases == 0


def test_a_closed_pool_fails_what_waits_and_refuses_what_comes():
    gate = threading.Event()
    script = Script(lambda batch, exact: gate.wait(5) and None)
    pool, source = make_pool(), ScriptedSource(script=script)
    lease = pool.lease(source)
    running = lease.submit([sequence(1, 2)])
    eventually(lambda: script.running == 1)
    waiting = lease.submit([sequence(3, 4)])
    loading = pool.open(ScriptedSource("slow", load_s=0.2))
    threading.Timer(0.1, gate.set).start()
    pool.close()
    pool.close()
    assert running.result(5)
    assert isinstance(waiting.exception(5), PoolClosedError)
    assert isinstance(loading.exception(5), PoolClosedError)
    assert source.models[0].closed
    with pytest.raises(PoolClosedError):
        pool.open(source)


def test_threads_end_with_the_pool():
    before = set(threading.enumerate())

    def mine():
        return {t.name for t in set(threading.enumerate()) - before if t.name.startswith("bge-")}

    with make_pool() as pool:
        run(pool, ScriptedSource(), sequence(1, 2))
        assert mine() >= {"bge-compute-cpu", "bge-keeper"}
    eventually(lambda: not mine())


def test_a_pool_shows_what_it_holds_and_in_which_number_format(pool):
    assert repr(pool) == "ModelPool(empty)"
    run(pool, ScriptedSource(), sequence(1, 2))
    assert repr(pool) == "ModelPool(scripted on cpu in float32)"
    assert pool.stats().todict()["models"][0]["info"]["dtype_reason"] == "test"


def test_the_shared_pool_is_one_and_can_be_swapped():
    with make_pool() as mine, use_pool(mine):
        assert shared_pool() is shared_pool() is mine
    assert shared_pool() is not mine
    shared_pool().close()


def test_a_pool_pickles_to_the_shared_pool_and_is_not_copied(pool):
    with use_pool(pool):
        assert pickle.loads(pickle.dumps(pool)) is pool
    assert copy.deepcopy(pool) is pool


def test_settings_that_make_no_sense_are_refused():
    for bad in ({"devices": ()}, {"replicas": 0}, {"budget_bytes": -1}):
        with pytest.raises(InputError):
            PoolSettings(**bad)
