"""What is measured. Each workload is one module with one function, and none knows another."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib import import_module
from typing import TYPE_CHECKING

from ...errors import InputError

if TYPE_CHECKING:
    from ..records import Absence, Measurement

WORKLOADS = ("bulk", "rerank", "outputs", "online", "mixed", "growth", "startup")
"""In the order in which they run."""


def check_name(name: str) -> None:
    """Refuse a name that is no workload's.

    Raises:
        InputError: If there is no such workload.
    """
    if name not in WORKLOADS:
        raise InputError(f"--workload {name}: there is no such workload; there are {', '.join(WORKLOADS)}")


def measurer(name: str) -> Callable[..., Iterator[Measurement | Absence]]:
    """Give the function of a workload, which takes a `Bench` and yields what it finds.

    Raises:
        InputError: If there is no such workload.
    """
    check_name(name)
    found: Callable[..., Iterator[Measurement | Absence]] = import_module(f"{__name__}.{name}").measure
    return found
