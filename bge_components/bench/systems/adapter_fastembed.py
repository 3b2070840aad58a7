"""Runs fastembed in a worker, on the ONNX file that sentence-transformers exports."""

from __future__ import annotations

import importlib
import json
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

fastembed: Any = importlib.import_module("fastembed")
descriptions: Any = importlib.import_module("fastembed.common.model_description")
cross_encoder: Any = importlib.import_module("fastembed.rerank.cross_encoder")
exported: Any = importlib.import_module("exports")

_NAME = "bench/checkpoint"


def versions() -> dict[str, str]:
    """Give the versions of what runs."""
    return {name: metadata.version(name) for name in ("fastembed", "onnxruntime")}


def load(
    folder: Path, *, exports: Path, task: str, max_tokens: int, threads: int, options: Mapping[str, str]
) -> Fast:
    """Register the exported checkpoint as a custom model and load it."""
    made, file = exported.onnx(folder, exports, task, "O3")
    known = {
        "model": f"{_NAME}/{made}",
        "sources": descriptions.ModelSource(hf=_NAME),  # asked for, and not used with a path
        "model_file": file,
        "additional_files": _external_data(made, file),
    }
    if task == "rerank":
        cross_encoder.TextCrossEncoder.add_custom_model(**known)
    else:
        fastembed.TextEmbedding.add_custom_model(
            **known, pooling=descriptions.PoolingType.CLS, normalization=True, dim=_width(made)
        )
    return Fast(made, task, max_tokens, threads, str(known["model"]))


class Fast:
    """A TextEmbedding or a TextCrossEncoder."""

    def __init__(self, folder: Path, task: str, max_tokens: int, threads: int, name: str) -> None:
        self.one_at_a_time = nullcontext()
        kind = fastembed.TextEmbedding if task == "embed" else cross_encoder.TextCrossEncoder
        self._model = kind(name, threads=threads, cuda=False, specific_model_path=str(folder))
        self._model.model.tokenizer.enable_truncation(max_tokens)
        if task == "embed":
            self.encode(["warm"])
        else:
            self.score("warm", ["warm"])

    def encode(self, texts: Sequence[str]) -> Any:
        """Give unit vectors, (n, dim), with the default batch size of 256."""
        return np.array(list(self._model.embed(list(texts))))

    def score(self, query: str, texts: Sequence[str]) -> Any:
        """Give the sigmoid score of each text, (n,)."""
        logits = np.array(list(self._model.rerank(query, list(texts))), dtype=np.float32)
        return 1 / (1 + np.exp(-logits))


def _external_data(folder: Path, file: str) -> list[str]:
    beside = (folder / file).parent.glob("*.onnx[._]data*")
    return [found.relative_to(folder).as_posix() for found in beside]


def _width(folder: Path) -> int:
    return int(json.loads((folder / "config.json").read_text(encoding="utf-8"))["hidden_size"])
