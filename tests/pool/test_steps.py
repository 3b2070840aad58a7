import asyncio
import gc
import threading
import weakref
from concurrent.futures import Future, ThreadPoolExecutor
from queue import SimpleQueue

import pytest

from bge_components.errors import PoolClosedError, PoolError
from bge_components.pool.steps import adrive, drive


def done(value):
    future = Future()
    future.set_result(value)
    return future


def failed(error):
    future = Future()
    future.set_exception(error)
    return future


def adding(futures):
    total = 0
    for future in futures:
        total += yield future
    return total


def recovering():
    try:
        yield failed(KeyError("lost"))
    except KeyError:
        return (yield done("found"))


def closing(awaited, closed):
    try:
        yield awaited
    finally:
        closed.set()


async def cancel(call):
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call


@pytest.fixture
def executor():
    with ThreadPoolExecutor(2) as executor:
        yield executor


async def test_both_drivers_run_the_same_steps_to_the_same_result(executor):
    assert drive(adding([done(1), done(2), done(3)])) == 6
    assert await adrive(adding([done(1), done(2), done(3)]), executor) == 6
    assert drive(adding([])) == await adrive(adding([]), executor) == 0


async def test_an_error_of_a_future_is_raised_inside_the_steps(executor):
    assert drive(recovering()) == await adrive(recovering(), executor) == "found"
    with pytest.raises(ZeroDivisionError):
        drive(adding([failed(ZeroDivisionError())]))
    with pytest.raises(ZeroDivisionError):
        await adrive(adding([failed(ZeroDivisionError())]), executor)


async def test_async_steps_never_run_on_the_loop_thread(executor):
    threads = []

    def looking():
        threads.append(threading.current_thread())
        yield done(1)
        threads.append(threading.current_thread())

    await adrive(looking(), executor)
    assert threading.current_thread() not in threads
    assert len(threads) == 2


async def test_the_loop_is_woken_once_however_many_futures_the_steps_wait_for(executor, monkeypatch):
    loop, woken, futures = asyncio.get_running_loop(), [], [Future() for _ in range(5)]
    wake = loop.call_soon_threadsafe
    monkeypatch.setattr(
        loop, "call_soon_threadsafe", lambda *what, **how: (woken.append(1), wake(*what, **how))
    )

    def settle():
        for future in futures:
            future.set_result(1)

    call = asyncio.create_task(adrive(adding(futures), executor))
    await asyncio.sleep(0.05)
    threading.Thread(target=settle).start()
    assert await call == 5
    assert len(woken) == 1


async def test_a_long_call_whose_futures_are_all_done_does_not_keep_a_short_one_waiting():
    ended, begin = [], threading.Event()

    def counting(name, count):
        for _ in range(count):
            yield done(1)
        ended.append(name)

    with ThreadPoolExecutor(1) as single:
        single.submit(begin.wait, 5)
        long = asyncio.create_task(adrive(counting("long", 100), single))
        short = asyncio.create_task(adrive(counting("short", 3), single))
        await asyncio.sleep(0.02)
        begin.set()
        await asyncio.gather(long, short)
    assert ended == ["short", "long"]


async def test_steps_that_wait_while_their_executor_is_shut_down_are_closed_and_fail():
    late, closed = Future(), threading.Event()

    single = ThreadPoolExecutor(1)
    call = asyncio.create_task(adrive(closing(late, closed), single))
    await asyncio.sleep(0.05)
    single.shutdown()
    late.set_result(1)
    with pytest.raises(PoolClosedError):
        await call
    assert closed.is_set()


class Full(ThreadPoolExecutor):
    """One that has no more threads from some time on; what it was given may be in its queue all the same."""

    error, queues = None, False

    def submit(self, *what):
        if self.error is None:
            return super().submit(*what)
        if self.queues:
            super().submit(*what)
        raise self.error


@pytest.mark.parametrize("queues", [False, True])
@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (RuntimeError("can't start new thread"), PoolError),
        (MemoryError(), PoolError),
        (RuntimeError("cannot schedule new futures after shutdown"), PoolClosedError),
    ],
    ids=str,
)
async def test_a_caller_hears_of_it_if_nothing_more_can_be_submitted_even_if_the_steps_do_not_close(
    error, expected, queues, caplog
):
    late, closed = Future(), []

    def waiting():
        try:
            yield late
        finally:
            closed.append(1)
            raise ValueError("does not close")

    with Full(1) as full:
        call = asyncio.create_task(adrive(waiting(), full))
        await asyncio.sleep(0.05)
        full.error, full.queues = error, queues
        late.set_result(1)
        with pytest.raises(PoolError) as caught:
            await asyncio.wait_for(call, 5)
        assert type(caught.value) is expected
        first = adrive(adding([]), full)
        with pytest.raises(PoolError):
            await first
    assert closed == [1]
    assert "did not close" in caplog.text


@pytest.mark.parametrize("queues", [False, True])
async def test_a_cancelled_caller_is_cancelled_even_if_nothing_more_can_be_submitted(executor, queues):
    late, closed = Future(), threading.Event()

    with Full(1) as full:
        call = asyncio.create_task(adrive(closing(late, closed), full))
        await asyncio.sleep(0.05)
        full.error, full.queues = MemoryError(), queues
        await cancel(call)
        assert await asyncio.to_thread(closed.wait, 5)
    assert late.cancelled()


async def test_steps_are_closed_when_somebody_else_cancels_what_they_wait_for(executor):
    shared, closed = Future(), threading.Event()

    call = asyncio.create_task(adrive(closing(shared, closed), executor))
    await asyncio.sleep(0.05)
    shared.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert await asyncio.to_thread(closed.wait, 5)


async def test_a_result_that_its_caller_dropped_does_not_wait_for_the_collector(executor):
    class Result:
        pass

    def giving(awaited):
        yield awaited[0]
        return Result()

    gc.collect()
    gc.disable()
    try:
        for awaited in ([done(1)], [Future()]):
            call = asyncio.create_task(adrive(giving(awaited), executor))
            await asyncio.sleep(0.05)
            if not awaited[0].done():
                awaited.pop().set_result(1)
            seen = weakref.ref(await call)
            del call
            await asyncio.sleep(0.05)  # for the threads to drop theirs
            assert seen() is None
    finally:
        gc.enable()


async def test_whenever_a_caller_is_cancelled_its_steps_end_and_let_go_of_what_they_were_given(executor):
    held, every = [], []

    class Resource:
        def __init__(self):
            held.append(self)

        def release(self):
            held.remove(self)

    def asked(asking):
        future = Future()
        asking.put(future)
        return future

    def using(asking):
        resource = yield asked(asking)
        try:
            (yield asked(asking)).release()
        finally:
            resource.release()

    def answer(asking):
        while (future := asking.get(timeout=5)) is not None:
            if future.set_running_or_notify_cancel():
                future.set_result(Resource())

    for number in range(300):
        asking = SimpleQueue()
        every.append(using(asking))
        answering = threading.Thread(target=answer, args=(asking,))
        call = asyncio.create_task(adrive(every[-1], executor))
        answering.start()
        await asyncio.sleep(number % 20 * 0.00005)
        call.cancel()
        await asyncio.wait([call])
        asking.put(None)
        await asyncio.to_thread(answering.join)
    executor.shutdown()
    assert not held
    assert all(steps.gi_frame is None for steps in every)


async def test_cancelling_closes_the_steps_and_cancels_what_is_awaited(executor):
    never, closed = Future(), threading.Event()

    task = asyncio.create_task(adrive(closing(never, closed), executor))
    await asyncio.sleep(0.05)
    await cancel(task)
    assert await asyncio.to_thread(closed.wait, 5)
    assert never.cancelled()


async def test_cancelling_while_a_step_runs_closes_the_steps_when_it_ends(executor):
    go, closed, late = threading.Event(), threading.Event(), Future()

    def slow():
        try:
            go.wait(5)
            yield late
        finally:
            closed.set()

    task = asyncio.create_task(adrive(slow(), executor))
    await asyncio.sleep(0.05)
    await cancel(task)
    go.set()
    assert await asyncio.to_thread(closed.wait, 5)
    assert late.cancelled()


async def test_a_resource_that_arrives_after_cancelling_is_released(executor):
    released = threading.Event()

    class Resource:
        def release(self):
            released.set()

    opening = Future()
    opening.set_running_or_notify_cancel()  # can no longer be cancelled, as a load that has begun

    def using():
        yield opening

    task = asyncio.create_task(adrive(using(), executor))
    await asyncio.sleep(0.05)
    await cancel(task)
    opening.set_result(Resource())
    assert released.wait(5)


async def test_a_resource_on_its_way_to_the_steps_is_released_when_the_caller_is_cancelled():
    released, blocked = threading.Event(), threading.Event()

    class Resource:
        def release(self):
            released.set()

    opening = Future()

    def using():
        yield opening

    with ThreadPoolExecutor(1) as single:
        task = asyncio.create_task(adrive(using(), single))
        await asyncio.sleep(0.05)
        single.submit(blocked.wait, 5)  # the step that would take the resource has to queue
        opening.set_result(Resource())
        await asyncio.sleep(0.05)
        await cancel(task)
        blocked.set()
    assert released.wait(5)
