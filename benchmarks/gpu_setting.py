"""What every part of the GPU benchmark is given: a device, a folder, networks and texts of one length."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import gettempdir
from typing import Any, Literal

from bge_components.bench.checkpoint_files import make_checkpoint
from bge_components.bench.shapes import Shape, named
from bge_components.bench.texts import Texts

DEVICE = "device"
"""The fact about a machine that only runs of the GPU benchmark have."""

_TINY_TOKENS = 1_000
_TINY: dict[str, Any] = {"layers": 1, "width": 32, "inner": 64, "heads": 2, "vocab": 30_522}


@dataclass(frozen=True, kw_only=True)
class Given:
    """A network and what it reads.

    Attributes:
        shape: The network.
        folder: Its checkpoint.
        texts: What is read.
        lengths: Their tokens.
    """

    shape: Shape
    folder: Path
    texts: list[str]
    lengths: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What a part is told.

    Attributes:
        device: As torch spells it.
        tiny: Whether networks and texts are tiny, to try the code on any machine.
        work: Folder for checkpoints; None means the system's own for what is temporary.
        tokenizers: Folder with real tokenizers; None lets another stand in.
        fp32: Whether peers are to be exact.
    """

    device: str
    tiny: bool = False
    work: Path | None = None
    tokenizers: Path | None = None
    fp32: bool = False

    @property
    def dtype(self) -> Literal["bfloat16", "float32"]:
        """The number format that is measured."""
        return "float32" if self.tiny else "bfloat16"

    def given(self, name: str, tokens: int, total: int) -> Given:
        """Give a network by its name, and texts of `tokens` tokens each, of `total` tokens together."""
        shape = replace(named(name), **_TINY) if self.tiny else named(name)
        work = self.work or Path(gettempdir()) / "bge-gpu"
        folder = make_checkpoint(shape, work, None if self.tiny else self.tokenizers).folder
        texts = Texts.read(folder / "tokenizer.json")
        found = texts.of_lengths([tokens] * max(2, (_TINY_TOKENS if self.tiny else total) // tokens))
        return Given(shape=shape, folder=folder, texts=found, lengths=texts.lengths(found, tokens))
