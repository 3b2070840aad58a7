from __future__ import annotations

import signal
from collections.abc import Iterator

import numpy as np
import pytest

from bge_components.cli.console import short_floats


class Interrupt(Exception):
    pass


@pytest.fixture
def signals() -> Iterator[list[int]]:
    """Let SIGALRM raise, as Ctrl-C does; gives the signals that came."""
    came: list[int] = []

    def interrupt(number: int, frame: object) -> None:
        came.append(number)
        raise Interrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    yield came
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


def test_short_floats_bring_the_same_float32_back():
    values = np.random.default_rng(0).standard_normal(1000).astype(np.float32)
    floats = short_floats(values)
    assert np.array_equal(np.array(floats, dtype=np.float32), values)
    assert all(len(repr(number)) <= len("-0.123456789e-10") for number in floats)


def test_an_interrupt_while_numbers_are_written_is_not_swallowed(signals):
    values = np.random.default_rng(0).random(384, dtype=np.float32)
    for round_ in range(500):
        with pytest.raises(Interrupt):
            signal.setitimer(signal.ITIMER_REAL, 1e-4 + 1e-6 * round_)
            while len(signals) == round_:
                short_floats(values)
