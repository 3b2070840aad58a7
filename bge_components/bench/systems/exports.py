"""Where the ONNX and OpenVINO files of a checkpoint are: made once, each in a process of its own, and found again.

What a system imports and keeps in memory to export is no part of what it needs to run, so none of it happens here.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

_PROGRAM = Path(__file__).with_name("exporting.py")
_TAIL = 400


def openvino(folder: Path, exports: Path, task: str) -> Path:
    """Give a folder with the checkpoint as OpenVINO model."""
    return _made(exports / "openvino", folder=str(folder), task=task, backend="openvino")


def onnx(folder: Path, exports: Path, task: str, variant: str) -> tuple[Path, str]:
    """Give a folder with the checkpoint as ONNX model, and the file in it: optimised ("O3") or "int8"."""
    processor = instruction_set()
    file = {"O3": "model_O3.onnx", "int8": f"model_qint8_{processor}.onnx"}[variant]
    wanted = {"variant": variant, "processor": processor, "file": file}
    made = _made(exports / f"onnx-{variant}", folder=str(folder), task=task, backend="onnx", **wanted)
    return made, f"onnx/{file}"


def instruction_set() -> str:
    """Give the name of the quantisation that fits this processor best."""
    if platform.machine().lower() in ("arm64", "aarch64"):
        return "arm64"
    info = Path("/proc/cpuinfo")
    flags = info.read_text(encoding="utf-8") if info.is_file() else ""
    return next((known for known in ("avx512_vnni", "avx512") if known in flags), "avx2")


def _made(place: Path, **wanted: str) -> Path:
    """Export beside the place and move it there when it is whole."""
    if not place.is_dir():
        place.parent.mkdir(parents=True, exist_ok=True)
        unfinished = Path(tempfile.mkdtemp(prefix=f".{place.name}-", dir=place.parent))
        try:
            _export(target=str(unfinished), **wanted)
            if not place.is_dir():  # another process may have been faster
                os.replace(unfinished, place)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
    return place


def _export(**wanted: str) -> None:
    command = [sys.executable, str(_PROGRAM), json.dumps(wanted)]
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, errors="replace", check=False
    )
    if done.returncode:
        said = " ".join(done.stderr.split())
        raise RuntimeError(f"the export ended with code {done.returncode}; it said last: ...{said[-_TAIL:]}")
