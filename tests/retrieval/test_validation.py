from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bge_components.errors import InputError, MissingChannelError
from bge_components.retrieval.contracts import Capabilities, Channel, ChannelKind, Passage, Point
from bge_components.retrieval.validation import (
    channel_named,
    checked_channels,
    checked_points,
    checked_search,
    checked_vector,
)

DENSE = Channel(name="dense", kind=ChannelKind.DENSE, dim=2)
SPARSE = Channel(name="sparse", kind=ChannelKind.SPARSE)
MULTI = Channel(name="multi", kind=ChannelKind.MULTI, dim=2)
CHANNELS = {channel.name: channel for channel in (DENSE, SPARSE, MULTI)}
LITTLE = Capabilities(
    name="little",
    kinds=frozenset({ChannelKind.DENSE}),
    storage=frozenset({"float16"}),
    persistent=False,
    approximate=False,
)


def test_an_engine_is_asked_only_for_what_it_can_do() -> None:
    channel = Channel(name="dense", kind=ChannelKind.DENSE, dim=2, storage="float16")
    assert checked_channels([channel], LITTLE) == {"dense": channel}
    with pytest.raises(InputError, match=r"'little'.*'sparse'.*kind='sparse'.*dense"):
        checked_channels([SPARSE], LITTLE)
    with pytest.raises(InputError, match=r"storage='float32'.*it takes float16"):
        checked_channels([DENSE], LITTLE)


def test_a_sparse_channel_has_no_bytes() -> None:
    with pytest.raises(InputError, match="not int8"):
        checked_channels([Channel(name="sparse", kind=ChannelKind.SPARSE, storage="int8")], LITTLE)


def test_a_channel_is_found_by_its_name() -> None:
    assert channel_named(CHANNELS, "multi") is MULTI
    with pytest.raises(MissingChannelError, match=r"'colour'.*\['dense', 'multi', 'sparse'\]"):
        channel_named(CHANNELS, "colour")


def test_numbers_of_any_type_become_float32() -> None:
    vector = checked_vector(DENSE, [1, 2.5])
    assert isinstance(vector, np.ndarray)
    assert vector.dtype == np.float32
    ids, weights = checked_vector(SPARSE, ([1, 2], [0.5, 1]))
    assert (ids.dtype, weights.dtype) == (np.int32, np.float32)


@pytest.mark.parametrize("vector", [[1e300, 0], ["a", "b"], [[1], [2, 3]], None, {"a": 1}, 3.0])
def test_what_is_no_vector_is_refused(vector: Any) -> None:
    with pytest.raises(InputError, match="'dense'"):
        checked_vector(DENSE, vector)


@pytest.mark.parametrize("ids", [[1.5, 2.5], [0, 2**31], [[1, 2]], [True, False]])
def test_what_are_no_ids_is_refused(ids: Any) -> None:
    with pytest.raises(InputError, match="'sparse'"):
        checked_vector(SPARSE, (ids, [1.0, 1.0]))


def test_the_document_of_a_bad_vector_is_named() -> None:
    point = Point(id=1, passage=Passage(document="d-7", text=""), vectors={"dense": np.zeros(3, np.float32)})
    with pytest.raises(InputError, match=r"'dense' of document 'd-7' expects.* 2 dimensions.*\(3,\)"):
        checked_points([point], CHANNELS)


@pytest.mark.parametrize("id", ["a", True, 1.0, None])
def test_the_id_of_a_point_is_a_uuid_or_a_whole_number(id: Any) -> None:
    with pytest.raises(InputError, match="the id of a point"):
        checked_points([Point(id=id, passage=Passage(document="a", text=""))], CHANNELS)


def test_the_last_of_equal_ids_is_kept_in_the_place_of_the_first() -> None:
    points = [
        Point(id=id, passage=Passage(document="a", text=text)) for id, text in ((1, "x"), (2, "y"), (1, "z"))
    ]
    assert [(point.id, point.passage.text) for point in checked_points(points, CHANNELS)] == [
        (1, "z"),
        (2, "y"),
    ]


def test_token_vectors_are_not_searched() -> None:
    with pytest.raises(InputError, match="never searched"):
        checked_search(CHANNELS, "multi", np.zeros((1, 2)), 1)
