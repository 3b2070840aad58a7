from __future__ import annotations

import tracemalloc
from types import SimpleNamespace

import numpy as np

from bge_components.contracts import Output, TokenSequence
from bge_components.encoders.assembler import Assembler

DENSE = frozenset({Output.DENSE})
INFO = SimpleNamespace(name="a network", width=256, multi_width=None)


def test_vectors_of_many_chunks_take_their_memory_once() -> None:
    chunk, chunks = 500, 20
    sequences = [TokenSequence(np.arange(3, dtype=np.int32), DENSE)] * chunk
    maker = np.random.default_rng(0)
    assembler = Assembler(INFO, frozenset(), DENSE, chunk * chunks, dimensions=None, normalize=False)
    given = []

    tracemalloc.start()
    for _ in range(chunks):
        rows = maker.random((chunk, 256), dtype=np.float32)
        given.append(float(rows.sum()))
        assembler.add(sequences, [{Output.DENSE: row} for row in rows])
    values = assembler.encoding(()).dense.values
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert values.shape == (chunk * chunks, 256)
    assert np.allclose(values.reshape(chunks, -1).sum(1), given, rtol=1e-4)
    assert peak < 1.3 * values.nbytes
