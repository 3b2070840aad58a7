"""An encoder that needs no weights, and indexes over it."""

import pytest

from bge_components.backends.fake import FakeSource
from bge_components.encoders import Encoder, EncoderSettings
from bge_components.pool import ModelPool
from bge_components.retrieval import HybridIndex
from bge_components.settings import PoolSettings


@pytest.fixture(scope="module")
def pool():
    with ModelPool(PoolSettings(devices=("cpu",))) as pool:
        yield pool


@pytest.fixture(scope="module")
def encoder(pool):
    """Gives dense, sparse and token vectors of 32 dimensions, from hashes of words; reads 512 tokens."""
    return Encoder(FakeSource("fake"), EncoderSettings(on_truncation="error"), pool)


@pytest.fixture
def index(encoder):
    """An empty index in memory."""
    with HybridIndex(encoder) as index:
        yield index
