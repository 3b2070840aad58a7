"""Snapshots of what a pool holds and has done."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from ..contracts import ModelInfo


@dataclass(frozen=True, kw_only=True)
class ModelStats:
    """One loaded model.

    Attributes:
        info: What it is: device, dtype and why, engine, bytes.
        leases: Calls that use it right now.
        pinned: Whether it is kept whatever happens.
        idle_s: Seconds since it was last used; 0 while in use.
        cut_texts: Texts that were cut to the length it takes, since it was loaded.
        memo_hits: Texts answered from the memo.
    """

    info: ModelInfo
    leases: int
    pinned: bool
    idle_s: float
    cut_texts: int
    memo_hits: int


@dataclass(frozen=True, kw_only=True)
class DeviceStats:
    """One device since the pool first used it; on a CPU, queries and bulk texts together.

    Attributes:
        name: As torch spells it.
        healthy: False from the moment a compute thread was lost until the next good forward pass, whose
            callers already read True.
        trouble: What happened, where not healthy.
        queued: Texts that wait.
        max_tokens: Tokens it is given at once now; lower than the setting after memory ran out.
        busy_s: Seconds spent in batches; a CPU may run two at once, and both count.
        batches: Forward passes begun, retries not counted.
        sequences: Texts in them.
        tokens: Tokens in them.
        out_of_memory: How often memory ran out.
        failed_passes: Forward passes that raised something else.
        exact_reruns: Texts computed again in fp32 because of NaN or infinity.
        stuck: Batches given up by the watchdog.
        threads_lost: Compute threads that were replaced.
    """

    name: str
    healthy: bool
    trouble: str
    queued: int
    max_tokens: int
    busy_s: float
    batches: int
    sequences: int
    tokens: int
    out_of_memory: int
    failed_passes: int
    exact_reruns: int
    stuck: int
    threads_lost: int


def joined(parts: Sequence[DeviceStats]) -> DeviceStats:
    """Give the stats of one device whose lanes have these, and share their health."""
    counters = {
        field.name: sum(getattr(part, field.name) for part in parts)
        for field in fields(DeviceStats)
        if field.name not in _NO_COUNTERS
    }
    return DeviceStats(
        name=parts[0].name,
        healthy=parts[0].healthy,
        trouble=parts[0].trouble,
        max_tokens=min(part.max_tokens for part in parts),
        **counters,
    )


_NO_COUNTERS = frozenset({"name", "healthy", "trouble", "max_tokens"})


@dataclass(frozen=True, kw_only=True)
class PoolStats:
    """A pool.

    Attributes:
        models: What is loaded, one entry per copy of the weights.
        devices: What was used.
        loads: Loads that succeeded.
        failed_loads: Loads that failed.
        evictions: Models dropped: for room, for being idle, or on request.
        nbytes: Memory taken by all weights, in bytes.
    """

    models: tuple[ModelStats, ...]
    devices: tuple[DeviceStats, ...]
    loads: int
    failed_loads: int
    evictions: int
    nbytes: int

    @property
    def healthy(self) -> bool:
        """Whether every device is."""
        return all(device.healthy for device in self.devices)

    def todict(self) -> dict[str, Any]:
        """Give plain, JSON-ready values."""
        plain = asdict(self)
        for model in plain["models"]:
            model["info"]["outputs"] = sorted(str(output) for output in model["info"]["outputs"])
        return plain
