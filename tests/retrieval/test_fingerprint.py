"""When an encoder's vectors belong to an index: by what it is, not by where it lies."""

import shutil

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from bge_components.backends import CheckpointSource
from bge_components.encoders import Encoder, EncoderSettings
from bge_components.errors import IndexMismatchError
from bge_components.retrieval.fingerprint import check_fingerprint, fingerprint_of


def of(folder, **settings):
    return fingerprint_of(Encoder(CheckpointSource(model=str(folder)), EncoderSettings(**settings)))


def test_a_copy_under_another_name_is_the_same(tiny_m3, tmp_path):
    shutil.copytree(tiny_m3, tmp_path / "renamed")
    check_fingerprint(of(tiny_m3), of(tmp_path / "renamed"), "the index")


def test_weights_of_the_same_size_that_differ_are_another_checkpoint(tiny_bert, tmp_path):
    copy = tmp_path / tiny_bert.name
    shutil.copytree(tiny_bert, copy)
    path = next(copy.glob("model*.safetensors"))
    weights = load_file(path)
    save_file(
        {name: np.flip(one, 0).copy() for name, one in weights.items()}, path, metadata={"format": "pt"}
    )
    with pytest.raises(IndexMismatchError, match="revision"):
        check_fingerprint(of(tiny_bert), of(copy), "the index")


@pytest.mark.parametrize(
    "settings", [{"dimensions": 8}, {"document_instruction": "text: "}, {"normalize": False}]
)
def test_settings_that_change_vectors_are_told_apart(tiny_m3, settings):
    with pytest.raises(IndexMismatchError, match=next(iter(settings))):
        check_fingerprint(of(tiny_m3), of(tiny_m3, **settings), "the index")


def test_settings_that_do_not_are_not(tiny_m3):
    check_fingerprint(of(tiny_m3), of(tiny_m3, max_tokens=64, on_truncation="ignore"), "the index")
