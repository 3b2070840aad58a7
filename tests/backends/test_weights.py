from __future__ import annotations

import json
import logging
import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from bge_components.backends.weights import read_head, read_weights
from bge_components.contracts import Output
from bge_components.errors import BrokenCheckpointError
from support import tiny

from .sequences import largest_difference, load, random_ids, sequences

WHOLE = "model.safetensors"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tiny.bert_embedder(tmp_path)


def rewrite(path: Path, change) -> None:
    tensors = load_file(path)
    tensors = {name: tensor.clone() for name, tensor in tensors.items()}
    change(tensors)
    save_file(tensors, path)


def dense(folder: Path):
    return load(folder).run(sequences(random_ids([5, 30, 9], 300)))


def test_every_way_to_store_weights_gives_the_same_model(tmp_path: Path) -> None:
    whole = tiny.bert_embedder(tmp_path / "whole")
    right = dense(whole)
    pickled = tiny.bert_embedder(tmp_path / "pickled", weights="bin")
    assert (pickled / "pytorch_model.bin").is_file()

    old = tiny.bert_embedder(tmp_path / "old", weights="bin")
    tensors = torch.load(old / "pytorch_model.bin", weights_only=True)
    tensors = {
        "bert."
        + name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): t
        for name, t in tensors.items()
    }
    torch.save(tensors, old / "pytorch_model.bin", _use_new_zipfile_serialization=False)

    sharded = tiny.bert_embedder(tmp_path / "sharded")
    tensors = load_file(sharded / WHOLE)
    (sharded / WHOLE).unlink()
    half = len(tensors) // 2
    shards = [dict(list(tensors.items())[:half]), dict(list(tensors.items())[half:])]
    names = [f"model-0000{number + 1}-of-00002.safetensors" for number in range(2)]
    for name, shard in zip(names, shards):
        save_file(shard, sharded / name)
    index = {"weight_map": {key: name for name, shard in zip(names, shards) for key in shard}}
    (sharded / f"{WHOLE}.index.json").write_text(json.dumps(index))

    for other in (pickled, old, sharded):
        assert largest_difference(dense(other), right) == 0

    (sharded / names[1]).unlink()
    with pytest.raises(BrokenCheckpointError, match=names[1]):
        dense(sharded)


def test_half_precision_weights_are_read_as_fp32(folder: Path) -> None:
    right = dense(folder)
    rewrite(folder / WHOLE, lambda tensors: tensors.update({k: v.half() for k, v in tensors.items()}))
    assert 0 < largest_difference(dense(folder), right) < 0.05


def test_int8_rows_are_scaled_back(folder: Path) -> None:
    def quantise(tensors: dict[str, torch.Tensor]) -> None:
        for name in [name for name, tensor in tensors.items() if tensor.ndim == 2]:
            scale = tensors[name].abs().amax(1).clamp(min=1e-12) / 127
            tensors[name + ".scale"] = scale
            tensors[name] = (tensors[name] / scale[:, None]).round().to(torch.int8)

    def restore(tensors: dict[str, torch.Tensor]) -> None:
        for name in [name for name in tensors if name.endswith(".scale")]:
            scale = tensors.pop(name)
            tensors[name[:-6]] = tensors[name[:-6]].float() * scale[:, None]

    rewrite(folder / WHOLE, quantise)
    found = dense(folder)
    rewrite(folder / WHOLE, restore)
    assert largest_difference(found, dense(folder)) == 0


@pytest.mark.parametrize(
    "change",
    [
        lambda tensors: tensors.pop("embeddings.word_embeddings.weight.scale"),
        lambda tensors: tensors.update({"embeddings.word_embeddings.weight.scale": torch.ones(3)}),
    ],
    ids=["missing", "wrong shape"],
)
def test_int8_without_fitting_scales_is_refused(folder: Path, change) -> None:
    def broken(tensors: dict[str, torch.Tensor]) -> None:
        name = "embeddings.word_embeddings.weight"
        tensors[name + ".scale"] = torch.ones(len(tensors[name]))
        tensors[name] = tensors[name].to(torch.int8)
        change(tensors)

    rewrite(folder / WHOLE, broken)
    with pytest.raises(BrokenCheckpointError, match=r"int8 tensor 'embeddings\.word_embeddings\.weight'"):
        load(folder)


@pytest.mark.parametrize(
    "content",
    [b"", b"not weights at all" * 100, b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n"],
    ids=["empty", "garbage", "pointer"],
)
@pytest.mark.parametrize("name", [WHOLE, "pytorch_model.bin"])
def test_an_unreadable_file_is_named(folder: Path, name: str, content: bytes) -> None:
    (folder / WHOLE).unlink()
    (folder / name).write_bytes(content)
    with pytest.raises(BrokenCheckpointError, match=name) as caught:
        read_weights(folder)
    assert ("Git LFS pointer" in str(caught.value)) == content.startswith(b"version")


@pytest.mark.parametrize("name", [WHOLE, "pytorch_model.bin"])
def test_a_file_that_was_cut_short_is_refused(tmp_path: Path, name: str) -> None:
    folder = tiny.bert_embedder(tmp_path, weights="bin" if name.endswith("bin") else "safetensors")
    path = folder / name
    path.write_bytes(path.read_bytes()[:-5000])
    with pytest.raises(BrokenCheckpointError, match=name):
        load(folder)


def test_no_weights_at_all_are_told(folder: Path) -> None:
    (folder / WHOLE).unlink()
    with pytest.raises(BrokenCheckpointError, match=r"expected one of model\.safetensors"):
        load(folder)


class Malicious:
    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self):
        return (Path.touch, (self.target,))


@pytest.mark.parametrize("zipped", [True, False])
def test_code_in_a_pickle_does_not_run(folder: Path, tmp_path: Path, zipped: bool) -> None:
    (folder / WHOLE).unlink()
    target = tmp_path / "owned"
    if zipped:
        torch.save({"x": Malicious(target)}, folder / "pytorch_model.bin")
    else:
        (folder / "pytorch_model.bin").write_bytes(pickle.dumps({"x": Malicious(target)}, protocol=2))
    with pytest.raises(BrokenCheckpointError):
        read_weights(folder)
    assert not target.exists()


def test_a_pickle_of_something_else_is_refused(folder: Path) -> None:
    (folder / WHOLE).unlink()
    torch.save([1, 2, 3], folder / "pytorch_model.bin")
    with pytest.raises(BrokenCheckpointError, match="dict of tensors"):
        read_weights(folder)


def test_a_missing_tensor_is_named(folder: Path) -> None:
    name = "encoder.layer.1.attention.self.key.weight"
    rewrite(folder / WHOLE, lambda tensors: tensors.pop(name))
    with pytest.raises(BrokenCheckpointError, match=rf"{name}.*\[64, 64\]"):
        load(folder)


def test_a_tensor_of_the_wrong_shape_is_named_with_both_shapes(folder: Path) -> None:
    name = "encoder.layer.0.intermediate.dense.weight"
    rewrite(folder / WHOLE, lambda tensors: tensors.update({name: torch.zeros(7, 64)}))
    with pytest.raises(BrokenCheckpointError, match=rf"{name}' of shape \[128, 64\], found \[7, 64\]"):
        load(folder)


def test_tensors_that_nobody_takes_are_logged_unless_harmless(folder: Path, caplog) -> None:
    with caplog.at_level(logging.WARNING):
        load(folder)  # it has a pooler
    assert caplog.records == []

    rewrite(folder / WHOLE, lambda tensors: tensors.update({"encoder.layer.9.adapter": torch.zeros(2)}))
    with caplog.at_level(logging.WARNING):
        load(folder)
    assert "encoder.layer.9.adapter" in caplog.text


@pytest.mark.parametrize("heads_format", ["pt", "safetensors"])
def test_heads_are_read_from_either_format(tmp_path: Path, tiny_m3: Path, heads_format) -> None:
    folder = tiny.m3(tmp_path, heads_format=heads_format)
    every = frozenset({Output.DENSE, Output.SPARSE, Output.MULTI})
    batch = sequences(random_ids([4, 20], 300), every)

    assert largest_difference(load(folder).run(batch), load(tiny_m3).run(batch)) == 0


def test_a_missing_head_is_an_error_not_a_random_head(tmp_path: Path) -> None:
    folder = tiny.m3(tmp_path, heads=())
    with pytest.raises(BrokenCheckpointError, match=r"sparse_linear\.safetensors or sparse_linear\.pt"):
        read_head(folder, "sparse_linear")


@pytest.mark.parametrize(
    ("stem", "shape"), [("sparse_linear", (2, 64)), ("sparse_linear", (1, 32)), ("colbert_linear", (64, 32))]
)
def test_a_head_of_the_wrong_shape_is_refused(tmp_path: Path, stem: str, shape: tuple[int, int]) -> None:
    folder = tiny.m3(tmp_path)
    torch.save({"weight": torch.zeros(shape), "bias": torch.zeros(shape[0])}, folder / f"{stem}.pt")
    with pytest.raises(BrokenCheckpointError, match=rf"{stem}\.pt: expected 'weight'"):
        load(folder)


def test_a_head_without_a_bias_is_refused(tmp_path: Path) -> None:
    folder = tiny.m3(tmp_path)
    torch.save({"weight": torch.zeros(1, 64)}, folder / "sparse_linear.pt")
    with pytest.raises(BrokenCheckpointError, match="'bias'"):
        load(folder)


def test_a_cross_encoder_without_its_classifier_is_refused(tmp_path: Path) -> None:
    folder = tiny.xlmr_reranker(tmp_path)
    rewrite(folder / WHOLE, lambda tensors: tensors.pop("classifier.out_proj.weight"))
    with pytest.raises(BrokenCheckpointError, match=r"classifier\.out_proj\.weight"):
        load(folder)
