"""Reading weight files: whole or in shards, safetensors or pickled tensors, stored as floats or as int8 rows."""

from __future__ import annotations

import json
import logging
import pickle
import re
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from ..errors import BrokenCheckpointError
from .memory import is_out_of_memory

log = logging.getLogger(__name__)

_SCALE = ".scale"
_WHOLE = ("model.safetensors", "pytorch_model.bin")
_LEGACY = {"LayerNorm.gamma": "LayerNorm.weight", "LayerNorm.beta": "LayerNorm.bias"}
_HARMLESS = re.compile(
    r"(^|\.)(pooler\.|lm_head\.|cls\.|embeddings\.(position_ids|token_type_ids)$)|^(qa_outputs|logit_scale)"
)
READ_ERRORS = (
    SafetensorError,
    pickle.UnpicklingError,
    zipfile.BadZipFile,
    RuntimeError,
    EOFError,
    ValueError,
    KeyError,
    AttributeError,
    TypeError,
    OSError,
)
"""What readers of weight files raise when a file is not what it should be."""


class StateDict:
    """The tensors of a checkpoint; each is taken once, with the shape it must have.

    Attributes:
        path: Where they come from, for messages.
    """

    def __init__(self, path: Path, tensors: dict[str, Tensor]) -> None:
        self.path = path
        self._tensors = tensors

    def __contains__(self, name: object) -> bool:
        return name in self._tensors

    def take(self, name: str, *shape: int) -> Tensor:
        """Give a tensor and forget it.

        Raises:
            BrokenCheckpointError: If it is missing or has another shape.
        """
        tensor = self._tensors.pop(name, None)
        if tensor is None:
            near = sorted(
                other for other in self._tensors if other.rpartition(".")[2] == name.rpartition(".")[2]
            )
            raise BrokenCheckpointError(
                f"{self.path}: expected a tensor {name!r} of shape {list(shape)}, found none of that name; "
                f"{len(self._tensors)} other tensors are left, such as {near[:3]}"
            )
        if tuple(tensor.shape) != shape:
            raise BrokenCheckpointError(
                f"{self.path}: expected {name!r} of shape {list(shape)}, found {list(tensor.shape)}"
            )
        return tensor

    def shape_of(self, name: str) -> tuple[int, ...]:
        """Give the shape of a tensor that is still there.

        Raises:
            BrokenCheckpointError: If it is missing.
        """
        if name not in self._tensors:
            raise BrokenCheckpointError(
                f"{self.path}: expected a tensor {name!r}, found {sorted(self._tensors)}"
            )
        return tuple(self._tensors[name].shape)

    def report_leftovers(self) -> None:
        """Log the tensors that nobody took, but for those known to be of no use here."""
        leftovers = sorted(name for name in self._tensors if not _HARMLESS.search(name))
        if leftovers:
            log.warning("%s: %d tensors are not used: %s", self.path, len(leftovers), leftovers[:8])


def read_weights(folder: Path, prefixes: tuple[str, ...] = ()) -> StateDict:
    """Read the weights of a checkpoint folder.

    Args:
        folder: Holds model.safetensors, pytorch_model.bin, or shards of either with their index.
        prefixes: Prefixes to take off tensor names ("bert.").

    Raises:
        BrokenCheckpointError: If there are none, or they cannot be read.
    """
    path = weights_file(folder)
    tensors = _read_shards(path) if path.name.endswith(".index.json") else read_tensors(path)
    renamed = {_plain_name(name, prefixes): tensor for name, tensor in tensors.items()}
    return StateDict(path, _dequantized(path, renamed))


def read_head(folder: Path, stem: str) -> StateDict:
    """Read a head file (`sparse_linear`, `colbert_linear`), whichever format it has.

    Raises:
        BrokenCheckpointError: If it is missing (a random head would give random numbers) or unreadable.
    """
    for name in (f"{stem}.safetensors", f"{stem}.pt"):
        if (folder / name).is_file():
            path = folder / name
            return StateDict(path, _dequantized(path, read_tensors(path)))
    raise BrokenCheckpointError(
        f"{folder}: expected {stem}.safetensors or {stem}.pt, found neither: this checkpoint needs that head. "
        "Download the checkpoint again, with all its files"
    )


def weights_file(folder: Path) -> Path:
    """Give the file to read weights from: a whole one, or the index of the shards.

    Raises:
        BrokenCheckpointError: If there is none.
    """
    names = [name for whole in _WHOLE for name in (whole, f"{whole}.index.json")]
    for name in names:
        if (folder / name).is_file():
            return folder / name
    raise BrokenCheckpointError(f"{folder}: expected one of {', '.join(names)}, found none of them")


def shards_of(index: Path) -> list[Path]:
    """Give the files that an index names.

    Raises:
        BrokenCheckpointError: If the index is unreadable, or a file is missing or outside the folder.
    """
    try:
        names = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise BrokenCheckpointError(f"{index}: expected a JSON object with 'weight_map': {error}") from error
    for name in names:
        if not isinstance(name, str) or Path(name).name != name or not (index.parent / name).is_file():
            raise BrokenCheckpointError(f"{index}: names the file {name!r}, which is not in {index.parent}")
    return [index.parent / name for name in names]


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read one file of tensors. Pickles are read as tensors only: no code in them runs.

    Raises:
        BrokenCheckpointError: If it cannot be read as that.
    """
    with _reading(path):
        tensors = load_file(path) if path.suffix == ".safetensors" else _unpickled(path)
    if not isinstance(tensors, dict) or not all(isinstance(value, Tensor) for value in tensors.values()):
        raise BrokenCheckpointError(f"{path}: expected a dict of tensors, found something else")
    return dict(tensors)


def _unpickled(path: Path) -> dict[str, Tensor]:
    mapped = zipfile.is_zipfile(path)  # files of torch before 1.6 cannot be mapped
    found: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
    return found


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except READ_ERRORS as error:
        if is_out_of_memory(error):
            raise
        raise BrokenCheckpointError(
            f"{path}: expected a {'safetensors file' if path.suffix == '.safetensors' else 'file of tensors'}, "
            f"found {_what_it_looks_like(path)} ({type(error).__name__}: {str(error)[:200]}). "
            "Download it again"
        ) from error


def _what_it_looks_like(path: Path) -> str:
    try:
        with path.open("rb") as file:
            beginning = file.read(64)
        size = path.stat().st_size
    except OSError:
        return "a file that cannot be opened"
    if beginning.startswith(b"version https://git-lfs"):
        return "a Git LFS pointer instead of the file"
    return f"{size} bytes that cannot be read as that"


def _read_shards(index: Path) -> dict[str, Tensor]:
    tensors: dict[str, Tensor] = {}
    for shard in shards_of(index):
        tensors |= read_tensors(shard)
    return tensors


def _plain_name(name: str, prefixes: tuple[str, ...]) -> str:
    prefix = next((prefix for prefix in prefixes if name.startswith(prefix)), "")
    name = name[len(prefix) :]
    for old, new in _LEGACY.items():
        if name.endswith(old):
            return name[: -len(old)] + new
    return name


def _dequantized(path: Path, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Restore int8 matrices from their rows' scales: "x.weight" times "x.weight.scale"."""
    for name in [name for name, tensor in tensors.items() if tensor.dtype == torch.int8]:
        scale = tensors.pop(name + _SCALE, None)
        rows = tensors[name].shape[0] if tensors[name].ndim == 2 else None
        if scale is None or rows is None or tuple(scale.shape) != (rows,):
            found = None if scale is None else list(scale.shape)
            raise BrokenCheckpointError(
                f"{path}: expected the int8 tensor {name!r} of shape {list(tensors[name].shape)} to be a matrix "
                f"with one scale per row in {name + _SCALE!r}, found scales of shape {found}"
            )
        tensors[name] = tensors[name].float() * scale.float()[:, None]
    return tensors
