"""The boiler room: it alone loads weights and runs forward passes.

Importing it loads no model library: the names below are looked up when they are first used, and
`bge_components.backends.fake` works without torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .devices import available_devices, device_memory_bytes, resolve_dtype
    from .source import CheckpointSource

_HOME = {
    "CheckpointSource": "source",
    "available_devices": "devices",
    "device_memory_bytes": "devices",
    "resolve_dtype": "devices",
}

__all__ = ["CheckpointSource", "available_devices", "device_memory_bytes", "resolve_dtype"]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{_HOME[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
