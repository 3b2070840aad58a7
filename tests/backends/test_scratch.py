from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
import torch

from bge_components.backends import scratch
from bge_components.backends.scratch import give_back, take

LIKE = torch.empty(1)


@pytest.fixture(autouse=True)
def _own_buffers() -> Iterator[None]:
    give_back()
    yield
    give_back()


def test_the_same_memory_comes_back_for_less_and_grows_for_more() -> None:
    first = take("a", 10, 8, LIKE)

    assert take("a", 4, 8, LIKE).data_ptr() == first.data_ptr()
    assert take("a", 4, 8, LIKE).shape == (4, 8)
    assert take("a", 50, 8, LIKE).data_ptr() != first.data_ptr()


def test_a_little_more_finds_room_in_the_same_memory() -> None:
    first = take("a", 1001, 8, LIKE)

    assert all(take("a", 1001 + more, 8, LIKE).data_ptr() == first.data_ptr() for more in range(20))


def test_names_and_formats_do_not_share() -> None:
    places = {take("a", 4, 4, LIKE).data_ptr(), take("b", 4, 4, LIKE).data_ptr()}
    coarse = take("a", 4, 4, LIKE.bfloat16())

    assert coarse.dtype == torch.bfloat16
    assert len({*places, coarse.data_ptr()}) == 3


def test_threads_have_their_own() -> None:
    mine = take("a", 4, 4, LIKE).fill_(1.0)
    theirs: list[int] = []

    def other() -> None:
        theirs.append(take("a", 4, 4, LIKE).fill_(2.0).data_ptr())

    thread = threading.Thread(target=other)
    thread.start()
    thread.join()

    assert theirs[0] != mine.data_ptr()
    assert mine.eq(1.0).all()


def test_a_buffer_for_a_giant_is_not_kept(monkeypatch) -> None:
    monkeypatch.setattr(scratch, "KEPT_BYTES", 64)

    giant = take("a", 5, 4, LIKE)

    assert take("a", 5, 4, LIKE).data_ptr() != giant.data_ptr()
    assert take("a", 4, 4, LIKE).data_ptr() == take("a", 4, 4, LIKE).data_ptr()
