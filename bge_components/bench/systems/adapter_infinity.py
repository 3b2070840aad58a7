"""Runs infinity-emb in a worker, in process and without its server."""

from __future__ import annotations

import importlib
import os
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

infinity: Any = importlib.import_module("infinity_emb")
torch: Any = importlib.import_module("torch")
exported: Any = importlib.import_module("exports")


def versions() -> dict[str, str]:
    """Give the versions of what runs."""
    wanted = ("infinity_emb", "sentence-transformers", "transformers", "torch", "onnxruntime")
    return {name: metadata.version(name) for name in wanted}


def load(
    folder: Path, *, exports: Path, task: str, max_tokens: int, threads: int, options: Mapping[str, str]
) -> Infinity:
    """Start its engine on a checkpoint, which for onnxruntime is exported first."""
    torch.set_num_threads(threads)
    if options["engine"] == "optimum":
        made, file = exported.onnx(folder, exports, task, "O3")
        os.chdir(_flat(made, file, exports / "onnx-flat"))
        folder = Path()
        _give_threads(threads)
    return Infinity(folder, task, options["engine"])


class Infinity:
    """An array of one engine; it reads texts up to the length that the checkpoint itself gives."""

    def __init__(self, folder: Path, task: str, engine: str) -> None:
        self.one_at_a_time = nullcontext()
        arguments = infinity.EngineArgs(
            model_name_or_path=str(folder),
            engine=engine,
            device="cpu",
            dtype="float32",
            pooling_method="cls",
            onnx_disable_optimize=True,  # the file is optimised already
            model_warmup=False,  # its warm-up text is longer than the positions of XLM-RoBERTa
            served_model_name="bench",
        )
        self._engines = infinity.SyncEngineArray.from_args([arguments])
        if task == "embed":
            self.encode(["warm"])
        else:
            self.score("warm", ["warm"])

    def encode(self, texts: Sequence[str]) -> Any:
        """Give unit vectors, (n, dim); its queue forms the batches."""
        vectors, _ = self._engines.embed(model="bench", sentences=list(texts)).result()
        return np.array(vectors)

    def score(self, query: str, texts: Sequence[str]) -> Any:
        """Give the sigmoid score of each text, (n,)."""
        found, _ = self._engines.rerank(model="bench", query=query, docs=list(texts)).result()
        scores = np.empty(len(texts), dtype=np.float32)
        for one in found:  # best first
            scores[one.index] = one.relevance_score
        return scores


def _flat(made: Path, file: str, flat: Path) -> Path:
    """Link the files of an export into one folder without sub folders: there, and as ".", infinity finds them."""
    flat.mkdir(exist_ok=True)
    for found in (*made.iterdir(), *(made / file).parent.iterdir()):
        if found.is_file() and not (flat / found.name).exists():
            os.link(found, flat / found.name)
    return flat


def _give_threads(threads: int) -> None:
    """Let onnxruntime use so many threads: infinity has no setting for that, and its own choice is all cores."""
    settings = importlib.import_module("onnxruntime").SessionOptions()
    settings.intra_op_num_threads = threads
    model: Any = importlib.import_module("optimum.onnxruntime.modeling").ORTModel
    load_model = model.from_pretrained.__func__

    def from_pretrained(kind: Any, *given: Any, **named: Any) -> Any:
        return load_model(kind, *given, **{"session_options": settings, **named})

    model.from_pretrained = classmethod(from_pretrained)
