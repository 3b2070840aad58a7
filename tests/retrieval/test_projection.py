"""Projecting token vectors: what it keeps, what it needs, and its way through JSON."""

import json

import numpy as np
import pytest

from bge_components.errors import BrokenIndexError, InputError
from bge_components.retrieval.projection import Projection
from bge_components.vectors import normalized


def tokens(count, width=32, rank=6):
    random = np.random.default_rng(count)
    return normalized(random.normal(size=(count, rank)) @ np.random.default_rng(0).normal(size=(rank, width)))


def test_vectors_that_lie_in_few_directions_lose_nothing():
    projection = Projection.fit(tokens(2000), 6)
    fresh = tokens(50)
    short = projection.apply(fresh)
    assert short.shape == (50, 6)
    assert short.dtype == np.float32
    np.testing.assert_allclose(short @ short.T, fresh @ fresh.T, atol=3e-3)


def test_it_keeps_more_than_any_other_choice_of_as_many_columns():
    random = np.random.default_rng(3)
    spread = normalized(random.normal(size=(3000, 32)) * np.linspace(3, 0.1, 32))
    kept = np.linalg.norm(Projection.fit(spread, 8).apply(spread))
    assert kept >= np.linalg.norm(spread[:, :8]) - 1e-2


def test_too_few_tokens_are_refused_with_the_way_out():
    with pytest.raises(InputError, match=r"64 tokens.*have 63.*calibrate"):
        Projection.fit(tokens(63), 8)


def test_more_dimensions_than_there_are_are_refused():
    with pytest.raises(InputError, match="32 dimensions cannot be projected to 33"):
        Projection.fit(tokens(2000), 33)


def test_it_survives_json_to_the_bit():
    projection = Projection.fit(tokens(2000), 6)
    again = Projection.from_dict(json.loads(json.dumps(projection.todict())))
    np.testing.assert_array_equal(again.matrix, projection.matrix)


@pytest.mark.parametrize(
    "broken", [{}, {"shape": [1, 1], "float16": "!"}, {"shape": [3, 3], "float16": "AAA="}]
)
def test_a_broken_one_is_told(broken):
    with pytest.raises(BrokenIndexError):
        Projection.from_dict(broken)
