"""Runs sentence-transformers in a worker: with torch, OpenVINO or onnxruntime."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from importlib import metadata
from pathlib import Path
from typing import Any

Options = Mapping[str, str]

sentence_transformers: Any = importlib.import_module("sentence_transformers")
torch: Any = importlib.import_module("torch")
exported: Any = importlib.import_module("exports")

_PACKAGES = {
    "torch": (),
    "openvino": ("openvino", "optimum-intel"),
    "onnx": ("onnxruntime", "optimum-onnx"),
}


def versions() -> dict[str, str]:
    """Give the versions of what is installed."""
    wanted = ("sentence-transformers", "transformers", "torch", *sum(_PACKAGES.values(), ()))
    return {name: version for name in wanted if (version := _version(name)) is not None}


def load(
    folder: Path, *, exports: Path, task: str, max_tokens: int, threads: int, options: Options
) -> Sentences:
    """Load a checkpoint with the backend of `options`; what it needs is exported into `exports` first."""
    torch.set_num_threads(threads)
    backend = options["backend"]
    if backend == "torch":
        arguments = {"dtype": getattr(torch, options["dtype"])}
    elif backend == "openvino":
        folder = exported.openvino(folder, exports, task)
        arguments = {"ov_config": _openvino_settings(threads, options)}
    else:
        folder, file = exported.onnx(folder, exports, task, options["variant"])
        arguments = {
            "file_name": file,
            "provider": "CPUExecutionProvider",
            "session_options": _session(threads),
        }
    return Sentences(folder, task, max_tokens, backend, arguments)


class Sentences:
    """A SentenceTransformer or a CrossEncoder."""

    def __init__(
        self, folder: Path, task: str, max_tokens: int, backend: str, arguments: dict[str, Any]
    ) -> None:
        self.one_at_a_time = nullcontext()
        given = {"device": "cpu", "backend": backend, "model_kwargs": arguments, "local_files_only": True}
        if task == "embed":
            self._model = sentence_transformers.SentenceTransformer(str(folder), **given)
            self._model.max_seq_length = max_tokens
            self.encode(["warm"])
        else:
            self._model = sentence_transformers.CrossEncoder(str(folder), max_length=max_tokens, **given)
            self.score("warm", ["warm"])

    def encode(self, texts: Sequence[str]) -> Any:
        """Give unit vectors, (n, dim), with the default batch size of 32."""
        return self._model.encode(list(texts), show_progress_bar=False, normalize_embeddings=True)

    def score(self, query: str, texts: Sequence[str]) -> Any:
        """Give the sigmoid score of each text, (n,)."""
        return self._model.predict([(query, text) for text in texts], show_progress_bar=False)


def _openvino_settings(threads: int, options: Options) -> dict[str, str]:
    settings = {"INFERENCE_NUM_THREADS": str(threads)}
    if options["dtype"] == "float32":
        settings["INFERENCE_PRECISION_HINT"] = "f32"
    return settings


def _session(threads: int) -> Any:
    settings = importlib.import_module("onnxruntime").SessionOptions()
    settings.intra_op_num_threads = threads
    return settings


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
