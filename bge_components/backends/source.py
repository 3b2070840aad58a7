"""Where a component's model comes from: settings that the pool resolves to a key and builds into a model."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, get_args

from ..catalogue import Checkpoint, Family, Pooling, ResolvedCheckpoint, resolve
from ..catalogue.config_files import read_config
from ..contracts import DTypeName, Model, ModelKey
from ..errors import BrokenCheckpointError, InputError
from ..settings import HubSettings
from .devices import available_devices, checked_device, resolve_dtype
from .fake import FakeModel, fake_checkpoint
from .first_import import ensure_torch

Backend = Literal["torch", "fake"]

_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2, "F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I8": 1}
_INT8_BYTES = 1.5
"""Per number: the layers take one byte, the table of words two."""
_HEADS = ("sparse_linear", "colbert_linear")


@dataclass(frozen=True, kw_only=True)
class CheckpointSource:
    """A `ModelSource` for a checkpoint by name. Hashable, comparable and small when pickled.

    Attributes:
        model: Name in the catalogue or on the hub, path of a folder, or "mini".
        revision: Commit, tag or branch on the hub.
        backend: "torch", or "fake" for tests: no files, no torch, every output.
        device: As torch spells it; None lets the pool choose.
        dtype: Number format of the matrix products; see `resolve_dtype`.
        family: Instead of what the catalogue or the files say.
        pooling: Instead of what the catalogue or the files say.
        trust_remote_code: Run code that comes with this checkpoint.
        hub: Cache folder, and whether the network may be asked.
    """

    model: str
    revision: str | None = None
    backend: Backend = "torch"
    device: str | None = None
    dtype: DTypeName = "auto"
    family: Family | None = None
    pooling: Pooling | None = None
    trust_remote_code: bool = False
    hub: HubSettings = field(default_factory=HubSettings)

    def __post_init__(self) -> None:
        _check_choice("backend", self.backend, get_args(Backend))
        _check_choice("dtype", self.dtype, get_args(DTypeName))
        _check_choice("pooling", self.pooling, (None, *get_args(Pooling)))

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_resolved"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)

    @property
    def label(self) -> str:
        """Name for messages."""
        return self.model

    def checkpoint(self) -> Checkpoint:
        """Say what the checkpoint is; the first look may touch the disk or the network.

        Raises:
            CheckpointError: If it cannot be had, or is broken.
        """
        return self._resolved.checkpoint

    def resolve(self, device: str | None = None) -> ModelKey:
        """Find the files and say what model they are: equal for equal models, however they were named.

        Args:
            device: Where it would run, which decides what dtype "auto" is; None takes the source's own, or the
                first device of the machine.

        Raises:
            CheckpointError: If the checkpoint cannot be had, or is broken.
        """
        if self.backend == "torch":
            checked_device(self.device or device or "cpu")
        found = self._resolved
        folder, entry = found.folder, found.checkpoint
        if self.backend == "fake":
            return ModelKey(str(folder), None, "fake", "float32")
        own_code = self.trust_remote_code and "auto_map" in read_config(folder)
        dtype, _ = resolve_dtype(self.dtype, self.device or device or available_devices()[0])
        variant = (entry.family.value, entry.pooling, own_code)
        return ModelKey(str(folder.resolve()), found.revision, "torch", dtype, variant=variant)

    def estimate_nbytes(self, key: ModelKey) -> int:
        """Guess the memory that the weights will take, from the sizes of the files and the number format."""
        if self.backend == "fake":
            return 0
        folder, per_number = Path(key.folder), _INT8_BYTES if key.dtype == "int8" else _BYTES[key.dtype]
        heads = [path for stem in _HEADS for path in folder.glob(f"{stem}.*")]
        return int(per_number * _numbers_in(folder)) + 2 * sum(path.stat().st_size for path in heads)

    def build(self, key: ModelKey, device: str) -> Model:
        """Load the model onto the device.

        Raises:
            CheckpointError: If files are missing or broken, or it cannot be run.
            DeviceOutOfMemoryError: If the device has no room for the weights.
        """
        if self.backend == "fake":
            return FakeModel(self.checkpoint(), device=device)
        ensure_torch()
        from .loading import Placement, load_model  # imports torch

        checked_device(device)
        dtype, reason = resolve_dtype(self.dtype, device)
        placement = Placement(device=device, dtype=dtype, dtype_reason=reason)
        entry, folder = self._resolved.checkpoint, self._resolved.folder
        return load_model(folder, entry, placement, trust_remote_code=self.trust_remote_code)

    @property
    def _resolved(self) -> ResolvedCheckpoint:
        # Not cached_property: up to Python 3.11 that holds one lock for all sources while one of them downloads.
        if "_resolved" not in vars(self):
            vars(self)["_resolved"] = self._look_up()
        found: ResolvedCheckpoint = vars(self)["_resolved"]
        return found

    def _look_up(self) -> ResolvedCheckpoint:
        if self.backend == "fake":
            entry = fake_checkpoint(self.model)
            return ResolvedCheckpoint(checkpoint=entry, folder=Path("/fake") / self.model, revision=None)
        found = resolve(self.model, revision=self.revision, hub=self.hub, family=self.family)
        if self.pooling is None or found.checkpoint.pooling is None:
            return found
        return replace(found, checkpoint=replace(found.checkpoint, pooling=self.pooling))


def _check_choice(name: str, value: object, choices: tuple[object, ...]) -> None:
    if value not in choices:
        raise InputError(f"{name} must be one of {', '.join(map(str, choices))}; got {value!r}")


def _numbers_in(folder: Path) -> int:
    """Count the numbers in a folder's weights: exactly for safetensors, from the size for pickled tensors."""
    for pattern in ("model*.safetensors", "pytorch_model*.bin"):
        files = sorted(folder.glob(pattern))
        if files and pattern.endswith("bin"):
            stored = str(read_config(folder).get("torch_dtype") or "float32")
            return sum(path.stat().st_size for path in files) // _BYTES.get(stored, 4)
        if files:
            return sum(map(_numbers_in_safetensors, files))
    return 0


def _numbers_in_safetensors(path: Path) -> int:
    """Add up the tensors' sizes in the header: its length in 8 bytes, little endian, then JSON."""
    try:
        with path.open("rb") as file:
            header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        tensors = [entry for name, entry in header.items() if name != "__metadata__"]
        spans = [entry["data_offsets"] for entry in tensors]
        return sum((b - a) // _BYTES.get(entry["dtype"], 4) for entry, (a, b) in zip(tensors, spans))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, MemoryError, OverflowError) as error:
        raise BrokenCheckpointError(f"{path}: expected a safetensors file: {error}") from error
