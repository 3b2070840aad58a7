from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bge_components.bench.records import Machine
from bge_components.bench.shapes import Shape
from bge_components.bench.suite import Bench
from bge_components.bench.systems.catalogue import SYSTEMS
from bge_components.bench.systems.client import SystemFailed

TINY = Shape(
    name="tiny",
    family="bert",
    layers=1,
    width=32,
    inner=64,
    heads=4,
    vocab=30522,
    positions=512,
)
FP32, BF16, PEER = "bge_components fp32", "bge_components bf16", "sentence-transformers fp32"


class FakeWorker:
    """Stands for a process: encodes in `seconds_per_text`, and fails at the step called `fails_at`.

    The first run of texts of a name takes `cold` times as long as the others.
    """

    def __init__(
        self, seconds_per_text: float = 0.001, turned: float = 0.0, fails_at: str = "", cold: float = 1.0
    ) -> None:
        self.seconds_per_text, self.turned, self.fails_at = seconds_per_text, turned, fails_at
        self.cold = cold
        self.known: set[str] = set()
        self.given: dict[str, Sequence[str]] = {}
        self.loaded: tuple[Any, ...] = ()
        self.closed = False
        self.peak = 5000.0
        self.forgets = True
        self.versions = {"a-package": "1.2", "torch": "2"}

    def load(self, *arguments: Any) -> float:
        self._step("load")
        self.loaded = arguments
        return 0.0

    def give(self, name: str, texts: Sequence[str]) -> None:
        self.given[name] = texts

    def encode(self, name: str) -> float:
        self._step("encode")
        self.peak = max(self.peak, 1.0 * len(self.given[name]))
        slower = 1.0 if name in self.known else self.cold
        self.known.add(name)
        return slower * self.seconds_per_text * len(self.given[name])

    def rerank(self, query: str, name: str) -> float:
        return self.encode(name)

    def vectors(self, name: str) -> Any:
        angles = [len(text) + self.turned for text in self.given[name]]
        return np.array([[np.cos(a), np.sin(a)] for a in angles], dtype=np.float32)

    def scores(self, query: str, name: str) -> Any:
        return np.array([1 / len(text) + self.turned for text in self.given[name]], dtype=np.float32)

    def forget_peak(self) -> bool:
        if self.forgets:
            self.peak = 0.0
        return self.forgets

    def peak_mb(self) -> float:
        return self.peak

    def __enter__(self) -> FakeWorker:
        return self

    def __exit__(self, *_: object) -> None:
        self.closed = True

    def _step(self, name: str) -> None:
        if name == self.fails_at:
            raise SystemFailed(f"it cannot {name}")


def a_bench(work: Path, *systems: str, **changes: Any) -> Bench:
    """Give a bench of the tiny shape on which every environment has an interpreter."""
    chosen = [SYSTEMS[name] for name in systems or (FP32, PEER)]
    given: dict[str, Any] = {
        "shapes": (TINY,),
        "systems": chosen,
        "interpreters": {system.environment: "python" for system in chosen},
        "missing": {},
        "machine": Machine(facts={}, peaks={"tiny float32": 1.0, "tiny bfloat16": 0.5}),
        "work": work,
        "rounds": 2,
        "seconds": 1.0,
    }
    return Bench(**{**given, **changes})
