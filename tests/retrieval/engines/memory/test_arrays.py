from __future__ import annotations

import numpy as np
import pytest

from bge_components.retrieval.engines.memory.arrays import Codes, GrowingArray


def test_what_was_viewed_stays_as_it_was() -> None:
    array = GrowingArray(np.float32, (2,))
    array.append(np.ones((3, 2)))
    view = array.view()
    for number in range(50):
        array.append(np.full((number % 3, 2), number))
    assert len(array) == len(array.view()) == 3 + sum(number % 3 for number in range(50))
    np.testing.assert_array_equal(view, np.ones((3, 2)))
    np.testing.assert_array_equal(array.view()[-1:], np.full((1, 2), 49))


def test_room_grows_by_doubling() -> None:
    array, rooms = GrowingArray(np.int8), set()
    for _ in range(1000):
        array.append(np.zeros(1))
        base = array.view().base
        assert base is not None
        rooms.add(len(base))
    assert rooms == {2**n for n in range(11)}


@pytest.mark.parametrize(("storage", "error"), [("float32", 0), ("float16", 5e-4), ("int8", 4e-3)])
def test_restored_rows_are_as_near_as_their_format_allows(storage: str, error: float) -> None:
    rows = np.random.default_rng(0).uniform(-1, 1, (20, 8)).astype(np.float32)
    codes = Codes.of(rows, storage)  # type: ignore[arg-type]
    assert codes.values.dtype == storage
    np.testing.assert_allclose(codes.restored(), rows, atol=error)
    np.testing.assert_array_equal(codes[3:5].restored(), codes.restored()[3:5])
