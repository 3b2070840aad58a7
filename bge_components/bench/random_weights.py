"""Random weights of a shape, the same ones every time, under the names of the real ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from .shapes import Shape

RECIPE = 1
"""Raise it when the numbers change, so that old files are made anew."""

_SEED = 20240201


def write_weights(shape: Shape, folder: Path) -> None:
    """Write model.safetensors, and for BGE-M3 its two heads.

    Matrices keep the size of what passes, norms lie near the identity, and positions weigh less than words. So the
    vectors of different texts have a cosine of about 0.8 in the mean, and one to a reference still tells something;
    with the deviation of 0.02 that training starts from, all vectors would be alike.
    """
    draw = _drawer()
    tensors = dict(_encoder(shape, draw))
    if shape.task == "rerank":
        tensors |= _classifier(shape, draw)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    if shape.m3:
        _save_head(folder / "sparse_linear.pt", 1, shape.width, draw)
        _save_head(folder / "colbert_linear.pt", shape.width, shape.width, draw)


Draw = Callable[[tuple[int, ...], float], Tensor]


def _drawer() -> Draw:
    generator = torch.Generator().manual_seed(_SEED)
    return lambda size, deviation: torch.empty(size).normal_(0.0, deviation, generator=generator)


def _encoder(shape: Shape, draw: Draw) -> Iterator[tuple[str, Tensor]]:
    prefix = ("roberta." if shape.family == "xlm-roberta" else "bert.") if shape.task == "rerank" else ""
    width, types = shape.width, 1 if shape.family == "xlm-roberta" else 2
    tables = {"word": (shape.vocab, 0.05), "position": (shape.positions, 0.01), "token_type": (types, 0.01)}
    for name, (rows, deviation) in tables.items():
        yield f"{prefix}embeddings.{name}_embeddings.weight", draw((rows, width), deviation)
    yield from _norm(f"{prefix}embeddings.LayerNorm", width, draw).items()
    for number in range(shape.layers):
        yield from _layer(f"{prefix}encoder.layer.{number}.", shape, draw)
    if shape.task == "embed" or shape.family == "bert":
        yield from _linear(f"{prefix}pooler.dense", width, width, draw).items()


def _layer(prefix: str, shape: Shape, draw: Draw) -> Iterator[tuple[str, Tensor]]:
    width, inner = shape.width, shape.inner
    for part in ("query", "key", "value"):
        yield from _linear(f"{prefix}attention.self.{part}", width, width, draw).items()
    yield from _linear(f"{prefix}attention.output.dense", width, width, draw).items()
    yield from _norm(f"{prefix}attention.output.LayerNorm", width, draw).items()
    yield from _linear(f"{prefix}intermediate.dense", inner, width, draw).items()
    yield from _linear(f"{prefix}output.dense", width, inner, draw).items()
    yield from _norm(f"{prefix}output.LayerNorm", width, draw).items()


def _classifier(shape: Shape, draw: Draw) -> dict[str, Tensor]:
    if shape.family == "bert":
        return _linear("classifier", 1, shape.width, draw)
    first = _linear("classifier.dense", shape.width, shape.width, draw)
    return {**first, **_linear("classifier.out_proj", 1, shape.width, draw)}


def _linear(name: str, rows: int, columns: int, draw: Draw) -> dict[str, Tensor]:
    """Give weight and bias of a product that keeps the size of what passes."""
    return {
        f"{name}.weight": draw((rows, columns), 1 / columns**0.5),
        f"{name}.bias": draw((rows,), 0.02),
    }


def _norm(name: str, width: int, draw: Draw) -> dict[str, Tensor]:
    return {f"{name}.weight": 1 + draw((width,), 0.05), f"{name}.bias": draw((width,), 0.02)}


def _save_head(path: Path, rows: int, width: int, draw: Draw) -> None:
    weights = _linear("head", rows, width, draw)
    torch.save({name.rpartition(".")[2]: tensor.half() for name, tensor in weights.items()}, path)
