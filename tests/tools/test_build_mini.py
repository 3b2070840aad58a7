"""The packaged checkpoint is what its builder makes, small, and near the original."""

from __future__ import annotations

import json
from pathlib import Path

import build_mini
import numpy as np
import pytest
from evaluate_retrieval import mean_ndcg, read_set, stock_encoder
from safetensors.numpy import load_file
from tokenizers import Tokenizer

from support.patience import encodes_a_whole_set
from support.shared import shared_path

FP32_ON_XQUAD_EN = 0.944
"""nDCG@10 of the original in fp32."""


@pytest.fixture(scope="module")
def source() -> Path:
    try:
        return build_mini.source_folder()
    except FileNotFoundError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def rebuilt(source, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("mini")
    build_mini.build(source, folder)
    return folder


def test_a_rebuild_gives_the_bytes_of_the_packaged_files(rebuilt):
    assert build_mini.differences(rebuilt, build_mini.MINI) == []


def test_every_packaged_file_is_built_or_written_by_hand(rebuilt):
    packaged = {path.relative_to(build_mini.MINI) for path in build_mini.MINI.rglob("*") if path.is_file()}
    built = {path.relative_to(rebuilt) for path in rebuilt.rglob("*") if path.is_file()}
    assert packaged - built == {Path("README.md"), Path("LICENSE")}


def test_a_changed_byte_and_a_missing_file_are_noticed(rebuilt, tmp_path):
    (tmp_path / "config.json").write_bytes((rebuilt / "config.json").read_bytes() + b" ")
    (tmp_path / "modules.json").write_bytes((rebuilt / "modules.json").read_bytes())
    different = build_mini.differences(rebuilt, tmp_path)
    assert {"config.json", "model.safetensors"} <= set(different)
    assert "modules.json" not in different


def test_the_whole_checkpoint_stays_under_30_mb():
    assert sum(path.stat().st_size for path in build_mini.MINI.rglob("*") if path.is_file()) < 30_000_000


def test_every_matrix_is_int8_with_one_scale_per_row_and_nothing_is_missing(source):
    original = load_file(source / "model.safetensors")
    stored = load_file(build_mini.MINI / "model.safetensors")
    kept = {name for name in original if not name.startswith("pooler.") and not name.endswith("position_ids")}
    assert {name for name in stored if not name.endswith(".scale")} == kept
    for name in kept:
        assert stored[name].shape == original[name].shape
        if original[name].ndim == 2:
            assert stored[name].dtype == np.int8
            assert stored[name + ".scale"].dtype == np.float32
            assert stored[name + ".scale"].shape == original[name].shape[:1]
        else:
            assert stored[name].dtype == np.float32
            assert name + ".scale" not in stored


def test_restored_rows_are_near_the_originals_and_never_worse_than_plain_rounding(source):
    original = load_file(source / "model.safetensors")
    restored = build_mini.dequantized(load_file(build_mini.MINI / "model.safetensors"))
    relative = []
    for name, values in restored.items():
        if values.ndim == 1:
            assert np.array_equal(values, original[name])
            continue
        error = np.linalg.norm(values - original[name], axis=1)
        assert (error <= _plain_rounding_error(original[name]) * 1.0001 + 1e-7).all(), name
        relative.append(error / np.maximum(np.linalg.norm(original[name], axis=1), 1e-6))
    rows = np.concatenate(relative)
    assert np.median(rows) < 0.008
    assert np.quantile(rows, 0.99) < 0.015
    assert rows.max() < 0.09  # a few rows of the feed-forward layers hold one giant


def test_rows_of_zeros_and_rows_with_one_giant_survive_rounding():
    rows = np.zeros((3, 8), dtype=np.float32)
    rows[1] = 1e-4
    rows[1, 3] = 50
    rows[2] = np.linspace(-1, 1, 8)
    codes, scales = build_mini.quantized(rows)
    restored = codes * scales[:, None]
    assert not restored[0].any()
    assert restored[1, 3] == pytest.approx(50, rel=1e-3)
    assert np.abs(restored[2] - rows[2]).max() < 0.005


def test_the_tokenizer_neither_cuts_nor_pads_and_reads_as_the_original(source):
    packaged = Tokenizer.from_file(str(build_mini.MINI / "tokenizer.json"))
    original = Tokenizer.from_file(str(source / "tokenizer.json"))
    original.no_truncation()
    original.no_padding()
    assert packaged.truncation is None
    assert packaged.padding is None
    for text in ("Hello, world!", "naïve café 巴黎", "word " * 1000):
        assert packaged.encode(text).ids == original.encode(text).ids


def test_the_settings_say_mean_pooling_unit_length_and_256_tokens():
    def content(name: str):
        return json.loads((build_mini.MINI / name).read_text(encoding="utf-8"))

    assert content("1_Pooling/config.json")["pooling_mode_mean_tokens"] is True
    assert content("1_Pooling/config.json")["pooling_mode_cls_token"] is False
    assert content("sentence_bert_config.json")["max_seq_length"] == 256
    assert [module["path"] for module in content("modules.json")] == ["", "1_Pooling", "2_Normalize"]


def test_the_token_vector_head_passes_hidden_states_through():
    head = load_file(build_mini.MINI / "colbert_linear.safetensors")
    assert np.array_equal(head["weight"], np.eye(384, dtype=np.float16))
    assert not head["bias"].any()


@encodes_a_whole_set
def test_retrieval_loses_less_than_half_a_point_to_the_original():
    data = read_set(shared_path("data", "retrieval", "xquad", "en"))
    assert mean_ndcg(data, stock_encoder(build_mini.MINI)) > FP32_ON_XQUAD_EN - 0.005


def _plain_rounding_error(weight: np.ndarray) -> np.ndarray:
    scales = np.maximum(np.abs(weight).max(axis=1, keepdims=True), 1e-12) / 127
    return np.linalg.norm(np.rint(weight / scales) * scales - weight, axis=1)
