"""A cross-encoder reads query and passage together and gives one logit: BGE rerankers base, large, v2-m3."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..contracts import CallOptions, Float32, Output, SequenceOutputs, TokenSequence
from ..pool import CHUNK, Lease, Steps, run_in_chunks
from .pairs import PairReader
from .reranker import StepReranker


class CrossEncoder(StepReranker):
    """Scores pairs with a cross-encoder checkpoint. Holds settings only; the weights live in the pool."""

    def raw_score_steps(self, pairs: Sequence[tuple[str, str]], options: CallOptions) -> Steps[Float32]:
        """Score pairs; the result is one logit each."""
        lease: Lease = yield self.pool.open(self.source, options.remaining_s())
        with lease:
            reader = PairReader(lease, lease.checkpoint, self.settings)
            logits: list[float] = []

            def collect(_: Sequence[TokenSequence], outputs: Sequence[SequenceOutputs]) -> None:
                logits.extend(float(one[Output.SCORE]) for one in outputs)

            chunks = (reader.read(pairs[start : start + CHUNK]) for start in range(0, len(pairs), CHUNK))
            yield from run_in_chunks(lease, chunks, collect, options, len(pairs))
        reader.report()
        return reader.aggregated(np.asarray(logits, dtype=np.float32))
