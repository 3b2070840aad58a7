"""Faults at every stage of a call, seen from the callers: only the guilty one hears of it, the next call works."""

import asyncio
import threading

import numpy as np
import pytest

from bge_components.backends.fake import FakeFaults, FakeSource
from bge_components.contracts import CallOptions
from bge_components.encoders import Encoder
from bge_components.errors import (
    ComputeError,
    DeadlineError,
    DeviceOutOfMemoryError,
    DeviceStuckError,
    DeviceThreadError,
    NonFiniteError,
)
from bge_components.pool import ModelPool
from bge_components.rerankers import CrossEncoder, LateInteraction
from bge_components.settings import BatchSettings, PoolSettings

INNOCENT = [f"an innocent text number {i}" for i in range(12)]
GUILTY = "a text with poison in it"


def raising(error):
    return FakeFaults(errors=(("poison", error),))


def hanging():
    return FakeFaults(hang=frozenset({"poison"}))


FAULTS = {
    "tokenise": (FakeFaults(untokenizable=frozenset({"poison"})), RuntimeError),
    "forward: RuntimeError": (raising(lambda: RuntimeError("injected")), ComputeError),
    "forward: out of memory": (raising(lambda: DeviceOutOfMemoryError("injected")), DeviceOutOfMemoryError),
    "forward: killed thread": (raising(SystemExit), DeviceThreadError),
    "forward: NaN": (FakeFaults(nan=frozenset({"poison"}), nan_also_exact=True), NonFiniteError),
}


def make_pool(stuck_after_s=None):
    return ModelPool(
        PoolSettings(devices=("cpu",), memo_s=0, batch=BatchSettings(stuck_after_s=stuck_after_s))
    )


@pytest.mark.parametrize("stage", FAULTS)
def test_among_many_threads_only_the_guilty_caller_hears_of_it(stage):
    faults, expected = FAULTS[stage]
    with make_pool() as pool:
        encoder, outcomes = Encoder(FakeSource(faults=faults), pool=pool), {}
        clean = Encoder(FakeSource("clean"), pool=pool).encode(INNOCENT).dense.values

        def call(text):
            try:
                outcomes[text] = encoder.encode([text]).dense.values[0]
            except Exception as error:
                outcomes[text] = error

        threads = [threading.Thread(target=call, args=(text,)) for text in [*INNOCENT, GUILTY]]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        assert isinstance(outcomes.pop(GUILTY), expected)
        assert np.allclose([outcomes[text] for text in INNOCENT], clean)
        assert len(encoder.encode(["the next one"])) == 1


@pytest.mark.parametrize("stage", FAULTS)
async def test_among_many_tasks_only_the_guilty_caller_hears_of_it(stage):
    faults, expected = FAULTS[stage]
    with make_pool() as pool:
        encoder = Encoder(FakeSource(faults=faults), pool=pool)
        calls = [encoder.aencode([text]) for text in [*INNOCENT, GUILTY]]
        *fine, guilty = await asyncio.gather(*calls, return_exceptions=True)
        assert isinstance(guilty, expected)
        assert all(len(one) == 1 for one in fine)
        assert len(await encoder.aencode(["the next one"])) == 1


@pytest.mark.parametrize("stage", FAULTS)
def test_a_guilty_passage_fails_its_rerank_and_no_other(stage):
    faults, expected = FAULTS[stage]
    with make_pool() as pool:
        source = FakeSource(faults=faults)
        for reranker in (CrossEncoder(source, pool=pool), LateInteraction(Encoder(source, pool=pool))):
            with pytest.raises(expected):
                reranker.rank("a query", [*INNOCENT, GUILTY])
            assert len(reranker.rank("a query", INNOCENT)) == len(INNOCENT)


def test_a_hang_is_given_up_and_the_others_get_their_results():
    faults = hanging()
    with make_pool(stuck_after_s=0.3) as pool:
        encoder, outcomes = Encoder(FakeSource(faults=faults), pool=pool), {}

        def call(text):
            try:
                outcomes[text] = encoder.encode([text])
            except Exception as error:
                outcomes[text] = error

        threads = [threading.Thread(target=call, args=(text,)) for text in [*INNOCENT, GUILTY]]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        faults.gate.set()
        assert isinstance(outcomes.pop(GUILTY), DeviceStuckError)
        assert all(len(one) == 1 for one in outcomes.values())
        assert len(encoder.encode(["the next one"])) == 1
        assert pool.stats().healthy


def test_a_caller_who_does_not_wait_that_long_gets_a_deadline_error():
    faults = hanging()
    with make_pool() as pool:
        encoder = Encoder(FakeSource(faults=faults), pool=pool)
        with pytest.raises(DeadlineError):
            encoder.encode([GUILTY], options=CallOptions(timeout_s=0.1))
        faults.gate.set()
        assert len(encoder.encode(["the next one"])) == 1


def test_a_failure_after_the_forward_pass_reaches_its_caller_only(monkeypatch):
    from bge_components.encoders.assembler import Assembler

    add = Assembler.add

    def failing_add(self, sequences, outputs):
        if len(sequences) == 3:
            raise MemoryError("injected: no memory for the result")
        add(self, sequences, outputs)

    monkeypatch.setattr(Assembler, "add", failing_add)
    with make_pool() as pool:
        encoder = Encoder(FakeSource(), pool=pool)
        with pytest.raises(MemoryError, match="injected"):
            encoder.encode(INNOCENT[:3])
        assert len(encoder.encode(INNOCENT)) == len(INNOCENT)
        assert pool.stats().models[0].leases == 0


@pytest.mark.parametrize("error", [RuntimeError, MemoryError, SystemExit], ids=lambda error: error.__name__)
def test_a_failed_load_is_told_to_everybody_and_tried_again_by_the_next(error):
    faults = FakeFaults(failing_loads=frozenset({1}), load_error=error)
    with make_pool() as pool:
        source = FakeSource(faults=faults, load_s=0.2)
        encoder, outcomes = Encoder(source, pool=pool), []

        def call():
            try:
                encoder.encode(["a"])
            except BaseException as failure:
                outcomes.append(failure)

        threads = [threading.Thread(target=call) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        assert [type(outcome) for outcome in outcomes] == [error] * 8
        assert len(encoder.encode(["the next one"])) == 1
        assert source.loads == ["cpu", "cpu"]
        assert pool.stats().failed_loads == 1


async def test_cancelled_tasks_leave_nothing_behind():
    with make_pool() as pool:
        source = FakeSource(faults=FakeFaults(delay_s=0.02), load_s=0.1)
        encoder = Encoder(source, pool=pool)
        tasks = [asyncio.create_task(encoder.aencode([text])) for text in INNOCENT * 5]
        for number, task in enumerate(tasks):
            await asyncio.sleep(0.004)
            if number % 2:
                task.cancel()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(len(one) == 1 for one in outcomes if not isinstance(one, BaseException))
        assert all(
            isinstance(one, asyncio.CancelledError) for one in outcomes if isinstance(one, BaseException)
        )
        assert len(await encoder.aencode(["the next one"])) == 1
        for _ in range(200):
            if pool.stats().models[0].leases == 0:
                break
            await asyncio.sleep(0.01)
        assert pool.stats().models[0].leases == 0
