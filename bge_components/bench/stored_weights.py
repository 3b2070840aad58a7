"""A copy of a checkpoint whose weights every system reads: int8 rows become float32."""

from __future__ import annotations

import shutil
from pathlib import Path

from safetensors.torch import save_file

from ..backends.weights import read_tensors
from ..catalogue.heads import HEAD_STEMS

_WEIGHTS = "model.safetensors"


def write_plain_weights(source: Path, folder: Path) -> None:
    """Copy the checkpoint in `source` into `folder` with float32 weights, and without heads of its own."""
    heads = {f"{stem}{ending}" for stem in HEAD_STEMS.values() for ending in (".safetensors", ".pt")}
    for path in source.iterdir():
        if path.is_dir():
            shutil.copytree(path, folder / path.name)
        elif path.name not in {_WEIGHTS, *heads}:
            shutil.copyfile(path, folder / path.name)
    tensors = read_tensors(source / _WEIGHTS)
    scales = {name for name in tensors if name.endswith(".scale")}
    plain = {
        name: tensor.float() * tensors[scale].float()[:, None]
        if (scale := f"{name}.scale") in scales
        else tensor
        for name, tensor in tensors.items()
        if name not in scales
    }
    save_file(
        {name: one.float().contiguous() for name, one in plain.items()}, folder / _WEIGHTS, {"format": "pt"}
    )
