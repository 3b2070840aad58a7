"""A backend without files and without torch, deterministic and fast, for this package's tests and for users' own."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ..catalogue import Checkpoint, Family
from ..contracts import Float32, Model, ModelInfo, ModelKey, Output, SequenceOutputs, TokenSequence
from ..errors import PoolClosedError
from .fake_faults import NO_FAULTS, FakeFaults
from .fake_tokenizer import FakeTokenizer
from .fake_words import SPECIAL_IDS

MAX_TOKENS = 512
WIDTH = 32

__all__ = ["FakeFaults", "FakeModel", "FakeSource", "FakeTokenizer", "fake_checkpoint"]


@dataclass(frozen=True, eq=False)
class FakeSource:
    """A `ModelSource` of a fake model; it counts what is asked of it.

    Give it to an encoder or reranker instead of a `CheckpointSource`, or to a pool directly.

    Attributes:
        label: Name; two sources of one name are the same model.
        width: Width of the vectors.
        nbytes: Memory that the model claims to take.
        load_s: How long loading takes.
        faults: What goes wrong, in which text or call.
        device: Where it must run; None lets the pool choose.
        loads: Devices it was loaded on, in order.
        models: The models that were built.
    """

    label: str = "fake"
    width: int = WIDTH
    nbytes: int = 1_000_000
    load_s: float = 0.0
    faults: FakeFaults = NO_FAULTS
    device: str | None = None
    loads: list[str] = field(default_factory=list)
    models: list[FakeModel] = field(default_factory=list)

    @property
    def model(self) -> str:
        """The label, under the name that a `CheckpointSource` has for it."""
        return self.label

    def checkpoint(self) -> Checkpoint:
        """Describe the checkpoint that it pretends to be."""
        return fake_checkpoint(self.label, self.width)

    def resolve(self, device: str | None = None) -> ModelKey:
        """Give a key that depends on the label and the width."""
        return ModelKey(f"/fake/{self.label}", None, "fake", "float32", variant=self.width)

    def estimate_nbytes(self, key: ModelKey) -> int:
        """Give `nbytes`."""
        return self.nbytes

    def build(self, key: ModelKey, device: str) -> Model:
        """Make a model, after `load_s`, unless this load is to fail."""
        time.sleep(self.load_s)
        self.loads.append(device)
        self.faults.on_load(len(self.loads))
        model = FakeModel(self.checkpoint(), device=device, nbytes=self.nbytes, faults=self.faults)
        self.models.append(model)
        return model


def fake_checkpoint(name: str, width: int = WIDTH) -> Checkpoint:
    """Describe a checkpoint that gives every output."""
    return Checkpoint(
        name=name,
        family=Family.M3,
        architecture="fake",
        dim=width,
        max_tokens=MAX_TOKENS,
        recommended_tokens=MAX_TOKENS,
        outputs=frozenset(Output),
        pooling="mean",
        normalize=True,
        note="No model: vectors and scores are computed from hashes of the words.",
    )


class FakeModel:
    """A `Model` whose outputs follow from the words: texts that share words are similar.

    DENSE is the mean of one pseudo-random vector per token, or one mean per chunk, MULTI those vectors, SPARSE one
    pseudo-random weight per token, SCORE 8 times the share of the first text's words that the second has, minus 4.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        *,
        device: str = "cpu",
        nbytes: int = 0,
        faults: FakeFaults = NO_FAULTS,
    ) -> None:
        """Make a model.

        Args:
            checkpoint: From `fake_checkpoint`.
            device: Any name.
            nbytes: Memory that it claims to take.
            faults: What goes wrong, in which text or call.
        """
        assert checkpoint.dim is not None
        self._width = checkpoint.dim
        self._faults = faults
        self._tokenizer = FakeTokenizer(faults)
        self._closed = False
        self._lock = threading.Lock()
        self.calls = 0
        self.info = ModelInfo(
            name=checkpoint.name,
            backend="fake",
            engine="fake",
            device=device,
            dtype="float32",
            dtype_reason="the fake has no other",
            nbytes=nbytes,
            width=self._width,
            max_tokens=checkpoint.max_tokens,
            outputs=checkpoint.outputs,
            multi_width=self._width,
            shareable=True,
        )

    @property
    def tokenizer(self) -> FakeTokenizer:
        """Its tokeniser."""
        return self._tokenizer

    def run(self, batch: Sequence[TokenSequence], *, exact: bool = False) -> list[SequenceOutputs]:
        """Compute the outputs; see `contracts.Model.run`.

        Raises:
            PoolClosedError: If the model was closed.
            BaseException: Whatever the faults say.
        """
        if self._closed:
            raise PoolClosedError(f"{self.info.name} was closed")
        with self._lock:
            self.calls += 1
            call = self.calls
        self._faults.on_run(batch, call)
        rows = [self._outputs(sequence) for sequence in batch]
        for sequence, row in zip(batch, rows):
            if self._faults.gives_nan(sequence, exact):
                for array in row.values():
                    array.fill(np.nan)
        return list(rows)

    def free_memory(self) -> None:
        """Do nothing: it holds none."""

    def close(self) -> None:
        """Refuse further work."""
        self._closed = True

    def _outputs(self, sequence: TokenSequence) -> dict[Output, Float32]:
        makers: dict[Output, Callable[[], Float32]] = {
            Output.DENSE: lambda: self._means(sequence),
            Output.SPARSE: lambda: np.abs(_noise(sequence.ids, 1)[:, 0]),
            Output.MULTI: lambda: self._vectors(sequence.ids[1:]),
            Output.SCORE: lambda: _overlap_logit(sequence),
        }
        return {output: makers[output]() for output in makers if output in sequence.outputs}

    def _means(self, sequence: TokenSequence) -> Float32:
        vectors = self._vectors(sequence.ids)
        if sequence.chunks is None:
            return np.asarray(vectors.mean(0, dtype=np.float32))
        means = [vectors[first:end].mean(0, dtype=np.float32) for first, end in sequence.chunks.tolist()]
        return np.array(means, dtype=np.float32).reshape(-1, self._width)

    def _vectors(self, ids: NDArray[np.int32]) -> Float32:
        return _noise(ids, self._width)


def _overlap_logit(pair: TokenSequence) -> Float32:
    types = np.zeros_like(pair.ids) if pair.type_ids is None else pair.type_ids
    words = ~np.isin(pair.ids, list(SPECIAL_IDS))
    first, second = np.unique(pair.ids[words & (types == 0)]), pair.ids[words & (types == 1)]
    share = float(np.isin(first, second).mean()) if len(first) else 0.0
    return np.array(8 * share - 4, dtype=np.float32)


def _noise(ids: NDArray[np.int32], width: int) -> Float32:
    """Give numbers between -1 and 1 that depend on id and column only (splitmix64), shape (len(ids), width)."""
    columns = np.arange(1, width + 1, dtype=np.uint64)
    x = ids.astype(np.uint64)[:, None] * np.uint64(0x100000001B3) + columns * np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    x ^= x >> np.uint64(31)
    unit: Float32 = (x >> np.uint64(40)).astype(np.float32) / np.float32(2**23)
    return np.asarray(unit - 1, dtype=np.float32)
