"""The program that `exports` starts: it exports a checkpoint with sentence-transformers, and ends.

It is started by path with the interpreter of a system's environment, so it imports nothing of this package but the
worker beside it.
"""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from typing import Any


def main(wanted: dict[str, str]) -> None:
    """Export the checkpoint in `folder` into `target`; `backend` and, for ONNX, `variant` say what is made of it."""
    importlib.import_module("worker").end_with_the_parent()
    sys.path.append(sys.path.pop(0))  # names of files here must not hide packages of the system
    target = wanted["target"]
    library: Any = importlib.import_module("sentence_transformers")
    kind = library.SentenceTransformer if wanted["task"] == "embed" else library.CrossEncoder
    model = kind(
        wanted["folder"],
        device="cpu",
        backend=wanted["backend"],
        model_kwargs={"export": True},
        local_files_only=True,
    )
    model.save_pretrained(target)
    if wanted["backend"] == "onnx":
        if wanted["variant"] == "O3":
            library.export_optimized_onnx_model(model, "O3", target)
        else:
            library.export_dynamic_quantized_onnx_model(model, wanted["processor"], target)
        _keep_only(Path(target, "onnx"), wanted["file"])


def _keep_only(folder: Path, file: str) -> None:
    """Remove the models that were steps on the way: a large one keeps gigabytes beside its file."""
    for found in folder.glob("model*.onnx*"):
        if not found.name.startswith(file):
            found.unlink()


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
