"""The files of BGE-M3's own heads: which outputs they give and where they lie."""

from __future__ import annotations

from pathlib import Path

from ..contracts import Output

HEAD_STEMS = {Output.SPARSE: "sparse_linear", Output.MULTI: "colbert_linear"}
"""Output, and the name of its head file without the ending."""

HEAD_ENDINGS = (".safetensors", ".pt")
"""In the order of preference."""


def head_file(folder: Path, output: Output) -> Path | None:
    """Give the file of the head behind an output; None if the folder has none, or the output needs none."""
    stem = HEAD_STEMS.get(output)
    if stem is None:
        return None
    for ending in HEAD_ENDINGS:
        if (path := folder / (stem + ending)).is_file():
            return path
    return None


def heads_in(folder: Path) -> frozenset[Output]:
    """Give the outputs whose head files the folder has."""
    return frozenset(output for output in HEAD_STEMS if head_file(folder, output) is not None)
