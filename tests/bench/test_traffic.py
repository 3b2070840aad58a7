import asyncio
import time
from threading import get_ident

import pytest

from bge_components.bench.workloads.traffic import Traffic, at_a_rate, by_tasks, by_threads


def test_threads_share_the_texts_and_each_waits_for_its_answer() -> None:
    asked: list[tuple[int, str]] = []

    def ask(text: str) -> None:
        asked.append((get_ident(), text))
        time.sleep(0.01)

    traffic = by_threads(ask, ["a", "b", "c"], callers=4, seconds=0.1)

    assert len({thread for thread, _ in asked}) == 4
    assert abs(sum(text == "a" for _, text in asked) - len(asked) / 3) <= 1
    assert len(traffic.latencies_s) == len(asked)
    assert min(traffic.latencies_s) >= 0.01
    assert traffic.elapsed_s >= 0.1


def test_tasks_wait_side_by_side() -> None:
    at_once, most = 0, 0

    async def ask(text: str) -> None:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        await asyncio.sleep(0.005)
        at_once -= 1

    traffic = by_tasks(ask, ["a"], callers=8, seconds=0.03)

    assert most == 8
    assert len(traffic.latencies_s) >= 8


def test_a_slow_answer_does_not_hold_up_the_calls_that_arrive_after_it() -> None:
    async def ask(text: str) -> None:
        await asyncio.sleep(0.1 if text == "slow" else 0)

    traffic = at_a_rate(ask, ["slow", "quick", "quick"], every_s=0.01, seconds=0.03)

    assert traffic.latencies_s[0] >= 0.1
    assert max(traffic.latencies_s[1:]) < 0.09


def test_every_caller_asks_at_least_once() -> None:
    async def aask(text: str) -> None: ...

    assert len(by_threads(len, ["a"], callers=3, seconds=0).latencies_s) == 3
    assert len(by_tasks(aask, ["a"], callers=3, seconds=0).latencies_s) == 3


def test_an_error_of_a_call_reaches_whoever_measures() -> None:
    def ask(text: str) -> None:
        raise RuntimeError("no answer")

    with pytest.raises(RuntimeError, match="no answer"):
        by_threads(ask, ["a"], callers=2, seconds=1)


def test_the_rate_in_tokens_counts_the_texts_that_were_taken() -> None:
    traffic = Traffic(latencies_s=(0.1,) * 5, elapsed_s=2.0)

    assert traffic.tokens_per_s([10, 20, 30]) == (60 + 10 + 20) / 2
