"""Random weights of tiny checkpoints, under the tensor names of the real ones and the same every time."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from safetensors.torch import save_file

Config = dict[str, Any]
Tensors = dict[str, torch.Tensor]
WeightsFormat = Literal["bin", "safetensors"]


def encoder_tensors(seed: str, config: Config, *, prefix: str = "", pooler: bool = True) -> Tensors:
    """Give the tensors of a BERT, RoBERTa or XLM-RoBERTa encoder."""
    width, inner = config["hidden_size"], config["intermediate_size"]
    tensors = {
        "embeddings.word_embeddings.weight": noise(seed, "words", config["vocab_size"], width, std=0.5),
        "embeddings.position_embeddings.weight": noise(
            seed, "positions", config["max_position_embeddings"], width, std=0.2
        ),
        "embeddings.token_type_embeddings.weight": noise(
            seed, "types", config["type_vocab_size"], width, std=0.2
        ),
        **norm(seed, "embeddings.LayerNorm", width),
    }
    for number in range(config["num_hidden_layers"]):
        layer = f"encoder.layer.{number}."
        for part in ("query", "key", "value"):
            tensors |= linear(seed, f"{layer}attention.self.{part}", width, width, gain=1.5)
        tensors |= linear(seed, layer + "attention.output.dense", width, width)
        tensors |= norm(seed, layer + "attention.output.LayerNorm", width)
        tensors |= linear(seed, layer + "intermediate.dense", inner, width)
        tensors |= linear(seed, layer + "output.dense", width, inner)
        tensors |= norm(seed, layer + "output.LayerNorm", width)
    if pooler:
        tensors |= linear(seed, "pooler.dense", width, width)
    return {prefix + name: tensor for name, tensor in tensors.items()}


def linear(seed: str, name: str, rows: int, columns: int, *, gain: float = 1.0) -> Tensors:
    """Give weight and bias of a linear layer that keeps the size of what passes, times `gain`."""
    weight = noise(seed, name + ".weight", rows, columns, std=gain / columns**0.5)
    return {name + ".weight": weight, name + ".bias": noise(seed, name + ".bias", rows, std=0.05)}


def norm(seed: str, name: str, width: int) -> Tensors:
    """Give weight and bias of a LayerNorm near the identity."""
    weight = 1 + noise(seed, name + ".weight", width, std=0.1)
    return {name + ".weight": weight, name + ".bias": noise(seed, name + ".bias", width, std=0.05)}


def noise(seed: str, name: str, *shape: int, std: float) -> torch.Tensor:
    """Give normal noise that depends on `seed`, `name` and `shape` only."""
    digest = hashlib.sha256(f"{seed}|{name}".encode()).digest()
    values = np.random.Generator(np.random.PCG64(int.from_bytes(digest[:8], "big"))).standard_normal(shape)
    return torch.from_numpy((values * std).astype(np.float32))


def save_weights(folder: Path, tensors: Tensors, kind: WeightsFormat = "safetensors") -> None:
    """Write model.safetensors or pytorch_model.bin."""
    if kind == "safetensors":
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    else:
        torch.save(tensors, folder / "pytorch_model.bin")
