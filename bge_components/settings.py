"""Settings of the engine, and the one place where environment variables are read."""

from __future__ import annotations

import os
from dataclasses import dataclass, fields
from typing import Any, Literal

from .errors import InputError

_PREFIX = "BGE_"
_CPU_TOKENS = 2048
_GPU_TOKENS = 32_768


def _positive(name: str, value: float) -> None:
    if not value > 0:  # so that NaN is refused too
        raise InputError(f"{name} must be above 0, got {value}")


def _not_negative(name: str, value: float) -> None:
    if not value >= 0:
        raise InputError(f"{name} must be 0 or more, got {value}")


@dataclass(frozen=True, kw_only=True)
class BatchSettings:
    """How waiting texts become batches on a device.

    Attributes:
        max_tokens: Tokens in one forward pass; a single longer text still runs, alone. None takes what suits the
            device: 32,768 with CUDA, which needs many to be busy, else 2,048, where more were no faster on a CPU.
        max_items: Texts in one forward pass.
        window: How many of the oldest waiting texts are looked at for near lengths.
        max_queued: Texts that may wait on one device before callers wait or get `QueueFullError`.
        bulk_patience_s: A bulk text that has waited this long goes before queries once, so that a steady stream of
            queries cannot starve a bulk; for where one thread computes both, as on GPUs.
        stuck_after_s: A batch that runs longer fails with `DeviceStuckError`, and the device gets a new
            compute thread. None never gives up.
    """

    max_tokens: int | None = None
    max_items: int = 1024
    window: int = 1024
    max_queued: int = 65_536
    bulk_patience_s: float = 0.5
    stuck_after_s: float | None = 600.0

    def __post_init__(self) -> None:
        for name in ("max_items", "window", "max_queued"):
            _positive(name, getattr(self, name))
        if self.max_tokens is not None:
            _positive("max_tokens", self.max_tokens)
        _not_negative("bulk_patience_s", self.bulk_patience_s)
        if self.stuck_after_s is not None:
            _positive("stuck_after_s", self.stuck_after_s)

    def tokens_on(self, device: str) -> int:
        """Give the tokens in one forward pass on a device, by its name as torch spells it."""
        return self.max_tokens or (_GPU_TOKENS if device.startswith("cuda") else _CPU_TOKENS)


@dataclass(frozen=True, kw_only=True)
class PoolSettings:
    """What a pool may use.

    Attributes:
        devices: Names as torch spells them ("cpu", "cuda:0"), or ("auto",): all CUDA GPUs, else the CPU.
        budget_bytes: Memory for weights per device; None takes half of the main memory on a CPU and 80 % of
            the card on a GPU.
        idle_s: A model unused for so long is dropped; None keeps it until its room is needed.
        replicas: On how many devices a busy checkpoint may live at once; more than one pays on several GPUs.
        load_wait_s: How long a load waits for models in use to become idle when there is no room.
        memo_s: How long outputs stay in the memo that spares a second pass; 0 turns it off.
        memo_bytes: Memory for that memo, per model.
        prepare_threads: Threads that tokenise for asyncio callers.
        batch: How batches are formed.
    """

    devices: tuple[str, ...] = ("auto",)
    budget_bytes: int | None = None
    idle_s: float | None = None
    replicas: int = 1
    load_wait_s: float = 60.0
    memo_s: float = 10.0
    memo_bytes: int = 64 * 2**20
    prepare_threads: int = 4
    batch: BatchSettings = BatchSettings()

    def __post_init__(self) -> None:
        if not isinstance(self.devices, tuple) or not self.devices:
            raise InputError(
                f"devices must be a tuple of names such as ('cuda:0', 'cuda:1'), got {self.devices!r}"
            )
        for name in ("replicas", "prepare_threads"):
            _positive(name, getattr(self, name))
        if self.budget_bytes is not None:
            _positive("budget_bytes", self.budget_bytes)
        if self.idle_s is not None:
            _not_negative("idle_s", self.idle_s)
        for name in ("load_wait_s", "memo_s", "memo_bytes"):
            _not_negative(name, getattr(self, name))

    @classmethod
    def from_env(cls) -> PoolSettings:
        """Read the settings of the shared pool from the environment, now.

        BGE_DEVICES ("cuda:0,cuda:1"), BGE_BUDGET_BYTES, BGE_IDLE_S, BGE_REPLICAS, BGE_LOAD_WAIT_S,
        BGE_MEMO_S, BGE_MEMO_BYTES, BGE_PREPARE_THREADS, BGE_MAX_TOKENS, BGE_MAX_ITEMS, BGE_WINDOW, BGE_MAX_QUEUED,
        BGE_BULK_PATIENCE_S, BGE_STUCK_AFTER_S. Unset means the default.

        Raises:
            InputError: If a value is no number, or no sensible one.
        """
        batch = BatchSettings(**_numbers_from_env(BatchSettings))
        own: dict[str, Any] = _numbers_from_env(cls)
        if devices := os.environ.get(_PREFIX + "DEVICES"):
            own["devices"] = tuple(name.strip() for name in devices.split(",") if name.strip())
        return cls(batch=batch, **own)


@dataclass(frozen=True, kw_only=True)
class HubSettings:
    """Where checkpoints may come from.

    Attributes:
        cache_folder: Folder for downloads; None uses the hub's own (`HF_HOME`).
        local_files_only: Never ask the network; also set by `HF_HUB_OFFLINE=1`.
    """

    cache_folder: str | None = None
    local_files_only: bool = False


def hub_is_offline() -> bool:
    """Say whether the environment forbids asking the model hub (HF_HUB_OFFLINE, TRANSFORMERS_OFFLINE)."""
    names = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")
    return any(os.environ.get(name, "").strip().upper() in {"1", "ON", "YES", "TRUE"} for name in names)


def chosen_dtype() -> Literal["auto", "float32", "bfloat16", "float16", "int8"]:
    """Read BGE_DTYPE, the number format where a component asks for "auto"."""
    value = os.environ.get(_PREFIX + "DTYPE", "auto")
    if value not in ("auto", "float32", "bfloat16", "float16", "int8"):
        raise InputError(f"BGE_DTYPE must be auto, float32, bfloat16, float16 or int8, got {value!r}")
    return value  # type: ignore[return-value]


def known_variables() -> list[str]:
    """Name the environment variables that are read here."""
    names = [
        item.name for cls in (PoolSettings, BatchSettings) for item in fields(cls) if item.name != "batch"
    ]
    return [_PREFIX + name.upper() for name in (*names, "dtype")]


def _numbers_from_env(cls: type) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for item in fields(cls):
        raw = os.environ.get(_PREFIX + item.name.upper())
        if raw is None or item.name in ("devices", "batch"):
            continue
        kind = int if "int" in str(item.type) else float
        try:
            found[item.name] = kind(raw)
        except ValueError as error:
            raise InputError(f"{_PREFIX}{item.name.upper()} must be a number, got {raw!r}") from error
    return found
