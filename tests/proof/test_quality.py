"""What the packaged checkpoint is worth, through the engine itself, on real retrieval sets."""

import sys

import numpy as np
import pytest

from bge_components.backends import CheckpointSource
from bge_components.encoders import Encoder, EncoderSettings
from bge_components.pool import ModelPool
from bge_components.settings import PoolSettings
from support.corpus import english
from support.patience import encodes_a_whole_set
from support.shared import REPOSITORY, shared_path

sys.path.insert(0, str(REPOSITORY / "tools"))
from evaluate_retrieval import mean_ndcg, read_set

pytestmark = encodes_a_whole_set


@pytest.fixture(scope="module")
def pool():
    with ModelPool(PoolSettings(devices=("cpu",))) as pool:
        yield pool


def mini(pool, dtype="auto"):
    return Encoder(CheckpointSource(model="mini", dtype=dtype), EncoderSettings(on_truncation="ignore"), pool)


@pytest.mark.parametrize(("name", "published"), [("scifact", 0.645), ("xquad/en", 0.944)])
def test_mini_retrieves_as_well_as_the_original(pool, name, published):
    data = read_set(shared_path("data", "retrieval", *name.split("/")))
    ours = mini(pool)
    ndcg = mean_ndcg(
        data,
        lambda texts: ours.encode(texts).dense.values,
        encode_queries=lambda texts: ours.encode(texts, "query").dense.values,
    )
    assert ndcg == pytest.approx(published, abs=0.005)


def test_bf16_stays_close_to_fp32_over_a_thousand_real_texts(pool):
    texts = english(1000)
    assert len(texts) == 1000
    exact, fast = (
        mini(pool, "float32").encode(texts).dense.values,
        mini(pool, "bfloat16").encode(texts).dense.values,
    )
    assert np.einsum("nd,nd->n", exact, fast).min() >= 0.999
