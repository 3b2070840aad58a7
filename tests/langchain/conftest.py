from __future__ import annotations

from collections.abc import Iterator

import pytest

from bge_components import ModelPool, PoolSettings, use_pool


@pytest.fixture(scope="module", autouse=True)
def pool() -> Iterator[ModelPool]:
    """The pool that the components of a test file share."""
    with ModelPool(PoolSettings(devices=("cpu",))) as pool, use_pool(pool):
        yield pool


@pytest.fixture
def fresh_pool() -> Iterator[ModelPool]:
    """A pool that has loaded nothing yet."""
    with ModelPool(PoolSettings(devices=("cpu",))) as pool, use_pool(pool):
        yield pool
