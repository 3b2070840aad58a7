"""Short ways to make token sequences and to load checkpoints in these tests."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bge_components.backends import CheckpointSource
from bge_components.backends.torch_model import TorchModel
from bge_components.contracts import Output, SequenceOutputs, TokenSequence

DENSE = frozenset({Output.DENSE})
SCORE = frozenset({Output.SCORE})


def random_ids(lengths: Sequence[int], vocabulary: int, seed: int = 0) -> list[np.ndarray]:
    maker = np.random.default_rng(seed)
    return [maker.integers(5, vocabulary, size=length, dtype=np.int32) for length in lengths]


def sequences(rows: Sequence[np.ndarray], outputs: frozenset[Output] = DENSE) -> list[TokenSequence]:
    return [TokenSequence(row, outputs) for row in rows]


def load(folder: Path | str, dtype: str = "float32", **settings: object) -> TorchModel:
    source = CheckpointSource(model=str(folder), dtype=dtype, **settings)
    model = source.build(source.resolve(), source.device or "cpu")
    assert isinstance(model, TorchModel)
    return model


def outputs_of(model: TorchModel, batch: Sequence[TokenSequence], output: Output) -> list[np.ndarray]:
    return [one[output] for one in model.run(batch)]


def largest_difference(found: Sequence[SequenceOutputs], right: Sequence[SequenceOutputs]) -> float:
    worst = 0.0
    for one, other in zip(found, right, strict=True):
        assert one.keys() == other.keys()
        for output, array in one.items():
            assert array.shape == other[output].shape
            worst = max(worst, float(np.abs(array - other[output]).max(initial=0)))
    return worst
