"""Starts the process of a system on the checkpoint of a shape."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack

from .shapes import Shape
from .suite import Bench
from .systems.catalogue import System
from .systems.client import SystemFailed, Worker

Start = Callable[[System, str, int], Worker]


def started(bench: Bench, shape: Shape, system: System, running: ExitStack, start: Start) -> Worker:
    """Start a system, let it load the checkpoint, and tell the reader of the results its versions.

    Args:
        bench: Where its interpreter is, and how many threads it gets.
        shape: The network.
        system: Which one.
        running: Ends the process.
        start: Makes it.

    Raises:
        SystemFailed: If its package is not installed, or it cannot load the checkpoint.
    """
    python = bench.interpreters.get(system.environment)
    if python is None:
        raise SystemFailed(bench.missing.get(system.environment, "its package is not installed"))
    bench.log(f"  {shape.name}: {system.name} starts")
    worker = running.enter_context(start(system, python, bench.threads))
    worker.load(bench.checkpoint(shape).folder, shape.task, shape.max_tokens, bench.exports(shape))
    if worker.versions:
        packages = ", ".join(f"{package} {version}" for package, version in worker.versions.items())
        bench.told.append(f"{system.name}: {packages}.")
    return worker
