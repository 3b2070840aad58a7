"""Scores held against FlagEmbedding's own answers, and against sentence-transformers computed on the spot."""

import warnings

import numpy as np
import pytest

from bge_components.backends import CheckpointSource
from bge_components.pool import ModelPool
from bge_components.rerankers import CrossEncoder, RerankerSettings
from bge_components.settings import PoolSettings
from support.corpus import mixed, pairs
from support.golden import PAIRS, TOLERANCE, golden


@pytest.fixture(scope="module")
def pool():
    with ModelPool(PoolSettings(devices=("cpu",), memo_s=0)) as pool:
        yield pool


def reranker(pool, folder, **settings):
    settings.setdefault("on_truncation", "ignore")
    return CrossEncoder(
        CheckpointSource(model=str(folder), dtype="float32"), RerankerSettings(**settings), pool
    )


@pytest.mark.parametrize(
    ("name", "case", "max_tokens"),
    [
        ("bge-reranker-base", "reranker-base", 512),
        ("bge-reranker-v2-m3", "reranker-v2-m3", 512),
        ("bge-reranker-v2-m3", "reranker-v2-m3_maxlen64", 64),
    ],
)
async def test_scores_equal_flagembedding(pool, parity_models, name, case, max_tokens):
    expected = golden("4.57.6", case)
    raw = reranker(pool, parity_models(name), scores="raw", max_tokens=max_tokens)
    company = [(text, other) for text, other in zip(mixed(40), reversed(mixed(40)))]
    paths = [
        raw.score(PAIRS),
        await raw.ascore(PAIRS),
        raw.score([*company, *PAIRS])[len(company) :],
        [raw.score([pair])[0] for pair in PAIRS],
    ]
    for scores in paths:
        assert np.abs(np.asarray(scores) - expected["s"]).max() <= TOLERANCE
    sigmoid = reranker(pool, parity_models(name), max_tokens=max_tokens).score(PAIRS)
    assert np.abs(sigmoid - expected["n"]).max() <= TOLERANCE


@pytest.mark.parametrize("checkpoint", ["tiny_reranker", "tiny_bert_reranker"])
async def test_scores_equal_sentence_transformers(pool, request, checkpoint):
    folder = request.getfixturevalue(checkpoint)
    questions = [(query, passage) for query, passage in pairs(40) if len(query) < 400]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from sentence_transformers import CrossEncoder as Reference

        reference = Reference(str(folder), device="cpu")
        expected = reference.predict(questions, show_progress_bar=False)
    ours = reranker(pool, folder)
    assert np.abs(ours.score(questions) - expected).max() <= TOLERANCE
    assert np.abs(await ours.ascore(questions) - expected).max() <= TOLERANCE
