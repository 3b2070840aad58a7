"""A model that does what a test tells it to: counts calls, waits at gates, fails on marked sequences."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from bge_components.contracts import (
    ModelInfo,
    ModelKey,
    Output,
    SequenceOutputs,
    TokenSequence,
)

DENSE = frozenset({Output.DENSE})


def sequence(*ids: int, outputs: frozenset[Output] = DENSE) -> TokenSequence:
    return TokenSequence(np.array(ids, dtype=np.int32), outputs)


def answer(one: TokenSequence) -> SequenceOutputs:
    """What the model gives for a sequence: something that only this sequence gives."""
    ids = one.ids.astype(np.float32)
    full = {
        Output.DENSE: np.array([ids.sum(), len(ids), ids[0]], dtype=np.float32),
        Output.SPARSE: ids / 100,
        Output.MULTI: np.stack([ids[1:], ids[1:] + 1], axis=1),
        Output.SCORE: np.float32(ids.sum() / 10).reshape(()),
    }
    return {output: full[output] for output in one.outputs}


@dataclass(eq=False)
class Script:
    """What happens in `run`; `behave` may raise, wait or change outputs."""

    behave: Callable[[Sequence[TokenSequence], bool], list[SequenceOutputs] | None] = lambda batch, exact: (
        None
    )
    batches: list[list[int]] = field(default_factory=list)
    threads: set[str] = field(default_factory=set)
    shareable: bool = True
    running: int = 0
    overlaps: int = 0


class ScriptedModel:
    def __init__(self, script: Script, name: str, device: str, nbytes: int) -> None:
        self.script = script
        self.tokenizer = None
        self.closed = False
        self.freed = 0
        self.info = ModelInfo(
            name=name,
            backend="scripted",
            engine="script",
            device=device,
            dtype="float32",
            dtype_reason="test",
            nbytes=nbytes,
            width=3,
            max_tokens=512,
            outputs=frozenset(Output),
            multi_width=2,
            shareable=self.script.shareable,
        )

    def run(self, batch: Sequence[TokenSequence], *, exact: bool = False) -> list[SequenceOutputs]:
        script = self.script
        script.running += 1
        script.overlaps += script.running > 1
        try:
            script.batches.append([len(one) for one in batch])
            script.threads.add(threading.current_thread().name)
            changed = script.behave(batch, exact)
            return [answer(one) for one in batch] if changed is None else changed
        finally:
            script.running -= 1

    def free_memory(self) -> None:
        self.freed += 1

    def close(self) -> None:
        self.closed = True


@dataclass(frozen=True, eq=False)
class ScriptedSource:
    """Counts what is asked of it. Two sources with the same `folder` are the same model."""

    label: str = "scripted"
    device: str | None = None
    folder: str | None = None
    nbytes: int = 100
    load_s: float = 0.0
    script: Script = field(default_factory=Script)
    loads: list[str] = field(default_factory=list)
    models: list[ScriptedModel] = field(default_factory=list)
    fail_loads: list[BaseException] = field(default_factory=list)

    def checkpoint(self) -> None:
        return None

    def resolve(self, device: str | None = None) -> ModelKey:
        return ModelKey(self.folder or f"/{self.label}/{id(self)}", None, "scripted", "float32")

    def estimate_nbytes(self, key: ModelKey) -> int:
        return self.nbytes

    def build(self, key: ModelKey, device: str) -> ScriptedModel:
        time.sleep(self.load_s)
        if self.fail_loads:
            raise self.fail_loads.pop(0)
        self.loads.append(device)
        model = ScriptedModel(self.script, self.label, device, self.nbytes)
        self.models.append(model)
        return model
