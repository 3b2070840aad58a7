"""The optional data folder beside the repository: where it is, and skipping without it."""

from __future__ import annotations

import subprocess
import sys
from functools import lru_cache
from pathlib import Path

import pytest

from bge_components.backends.tokenizer import FastTokenizer

REPOSITORY = Path(__file__).resolve().parents[2]
SHARED = REPOSITORY.parent / "shared"


def shared_path(*parts: str) -> Path:
    """Give a path in the shared folder, or skip the test that asks where it is missing."""
    path = SHARED.joinpath(*parts)
    if not path.exists():
        pytest.skip(f"needs {'/'.join(('../shared', *parts))}, which is not here")
    return path


@lru_cache(maxsize=4)
def real_tokenizer(name: str) -> FastTokenizer:
    """Give a real tokenizer of the shared folder, read once for all tests, or skip where it is missing."""
    return FastTokenizer.read(shared_path("data", "tokenizers", name))


def build_parity_model(name: str, folder: Path) -> Path:
    """Build one tiny checkpoint of the parity kit, or skip where the kit or its needs are missing.

    Args:
        name: Base name of the hub checkpoint, such as "bge-m3".
        folder: Where to put it; the checkpoint is `folder / name`.
    """
    script = shared_path("parity", "make_tiny_models.py")
    for module in ("sentencepiece", "google.protobuf"):
        pytest.importorskip(module, reason=f"the parity kit needs {module}, which is not installed")
    command = [sys.executable, "-W", "ignore", str(script), str(folder), name]
    subprocess.run(command, check=True, capture_output=True, text=True)
    return folder / name
