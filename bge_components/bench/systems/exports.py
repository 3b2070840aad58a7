"""Makes ONNX and OpenVINO files of a checkpoint with sentence-transformers, once; they are found there again."""

from __future__ import annotations

import importlib
import os
import platform
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

sentence_transformers: Any = importlib.import_module("sentence_transformers")


def openvino(folder: Path, exports: Path, task: str) -> Path:
    """Give a folder with the checkpoint as OpenVINO model."""

    def export(target: Path) -> None:
        _opened(folder, task, "openvino").save_pretrained(str(target))

    return _made(exports / "openvino", export)


def onnx(folder: Path, exports: Path, task: str, variant: str) -> tuple[Path, str]:
    """Give a folder with the checkpoint as ONNX model, and the file in it: as exported ("plain"), "O3" or "int8"."""

    def export(target: Path) -> None:
        model = _opened(folder, task, "onnx")
        model.save_pretrained(str(target))
        if variant == "O3":
            sentence_transformers.export_optimized_onnx_model(model, "O3", str(target))
        elif variant == "int8":
            sentence_transformers.export_dynamic_quantized_onnx_model(model, instruction_set(), str(target))
        _keep_only(target / "onnx", _suffix(variant))

    made = _made(exports / f"onnx-{variant}", export)
    return made, f"onnx/model{_suffix(variant)}.onnx"


def instruction_set() -> str:
    """Give the name of the quantisation that fits this processor best."""
    if platform.machine().lower() in ("arm64", "aarch64"):
        return "arm64"
    info = Path("/proc/cpuinfo")
    flags = info.read_text(encoding="utf-8") if info.is_file() else ""
    return next((known for known in ("avx512_vnni", "avx512") if known in flags), "avx2")


def _opened(folder: Path, task: str, backend: str) -> Any:
    kind = (
        sentence_transformers.SentenceTransformer if task == "embed" else sentence_transformers.CrossEncoder
    )
    return kind(
        str(folder), device="cpu", backend=backend, model_kwargs={"export": True}, local_files_only=True
    )


def _made(place: Path, export: Callable[[Path], None]) -> Path:
    """Export beside the place and move it there when it is whole."""
    if not place.is_dir():
        place.parent.mkdir(parents=True, exist_ok=True)
        unfinished = Path(tempfile.mkdtemp(prefix=f".{place.name}-", dir=place.parent))
        try:
            export(unfinished)
            if not place.is_dir():  # another process may have been faster
                os.replace(unfinished, place)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
    return place


def _suffix(variant: str) -> str:
    return {"plain": "", "O3": "_O3", "int8": f"_qint8_{instruction_set()}"}[variant]


def _keep_only(folder: Path, suffix: str) -> None:
    """Remove the models that were steps on the way: a large one keeps gigabytes beside its file."""
    for file in folder.glob("model*.onnx*"):
        if file.name.split(".onnx")[0] != f"model{suffix}":
            file.unlink()
