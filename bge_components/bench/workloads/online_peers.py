"""Other systems under the same callers, each in a process of its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial

from ..records import Absence
from ..shapes import Shape
from ..starting import started
from ..suite import Bench
from ..systems.client import SystemFailed, Worker
from .doors import Way
from .traffic import Traffic

PEERS = (
    "sentence-transformers fp32",
    "sentence-transformers bf16",
    "openvino fp32",
    "openvino bf16",
)
"""Systems with one model that threads may share."""


@dataclass(frozen=True, kw_only=True)
class Peers:
    """The peers that run.

    Attributes:
        shape: The network.
        workers: System to its process, which has been given the texts of every kind.
        absences: Those that do not, and why; one that fails later is added.
    """

    shape: Shape
    workers: Mapping[str, Worker]
    absences: list[Absence]

    def ways(self, kind: str) -> dict[str, Way]:
        """Give the way of each peer for one kind of texts."""
        return {name: partial(self._work, name, worker, kind) for name, worker in self.workers.items()}

    def refuse(self, system: str, error: SystemFailed) -> None:
        """Note that a system did not work."""
        absence = Absence(workload="online", shape=self.shape.name, system=system, reason=str(error))
        self.absences.append(absence)

    def _work(self, system: str, worker: Worker, kind: str, callers: int, seconds: float) -> Traffic | None:
        try:
            latencies_s, elapsed_s = worker.callers(kind, callers, seconds)
        except SystemFailed as error:
            self.refuse(system, error)
            return None
        return Traffic(latencies_s=tuple(latencies_s), elapsed_s=elapsed_s)


@contextmanager
def peers_at_work(bench: Bench, shape: Shape, texts: Mapping[str, list[str]]) -> Iterator[Peers]:
    """Start the peers, give them the texts by kind, and end them with the block."""
    with ExitStack() as stack:
        workers: dict[str, Worker] = {}
        peers = Peers(shape=shape, workers=workers, absences=[])
        for system in (one for one in bench.systems if one.name in PEERS):
            try:
                worker = started(bench, shape, system, stack, Worker.start)
                for kind, some in texts.items():
                    worker.give(kind, some)
                workers[system.name] = worker
            except SystemFailed as error:
                peers.refuse(system.name, error)
        yield peers
