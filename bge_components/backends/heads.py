"""From hidden states to outputs: pooling, token weights, token vectors and scores, all in fp32."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ..catalogue import Checkpoint
from ..contracts import Float32, Output, TokenSequence
from .native_config import NativeConfig
from .packing import Plan
from .products import Linear
from .weights import StateDict

Rows = list[dict[Output, Float32]]

_OF_FIRST_TOKEN = {Output.DENSE, Output.SCORE}


class Readout(Protocol):
    """Reads the outputs that each sequence asked for off what the network gave."""

    def __call__(self, states: Tensor, plan: Plan, batch: Sequence[TokenSequence]) -> Rows:
        """Give one dict per sequence, in the order of the plan, with just the outputs it wants."""
        ...

    def reads_first_tokens_only(self, batch: Sequence[TokenSequence]) -> bool:
        """Say whether the outputs that these sequences ask for need the states of their first tokens alone."""
        ...


class Heads(nn.Module):
    """The heads of a network that gives hidden states; only rows that ask for an output pay for its head."""

    def __init__(
        self,
        checkpoint: Checkpoint,
        sparse: Linear | None = None,
        multi: Linear | None = None,
        classifier: nn.Module | None = None,
    ) -> None:
        """Set up.

        Args:
            checkpoint: Says how hidden states are pooled.
            sparse: One row: a weight per token.
            multi: A vector per token.
            classifier: From the first token's hidden state, (n, width), to (n, 1).
        """
        super().__init__()
        self.pooling = checkpoint.pooling
        self.sparse = sparse
        self.multi = multi
        self.classifier = classifier

    def forward(self, states: Tensor, plan: Plan, batch: Sequence[TokenSequence]) -> Rows:
        """Read outputs off hidden states of shape (tokens, width)."""
        rows: Rows = [{} for _ in batch]
        self._add_chunks(rows, states, plan, batch)
        readers = {
            Output.DENSE: self._dense,
            Output.SPARSE: self._sparse,
            Output.MULTI: self._multi,
            Output.SCORE: self._score,
        }
        for output, read in readers.items():
            askers = [i for i, one in enumerate(batch) if output in one.outputs and output not in rows[i]]
            if askers:
                for index, array in zip(askers, read(states, plan, askers)):
                    rows[index][output] = array
        return rows

    def reads_first_tokens_only(self, batch: Sequence[TokenSequence]) -> bool:
        """Say whether all want scores, or dense vectors that are the first token's."""
        enough = _OF_FIRST_TOKEN if self.pooling == "cls" else {Output.SCORE}
        return all(one.outputs <= enough and one.chunks is None for one in batch)

    def _add_chunks(self, rows: Rows, states: Tensor, plan: Plan, batch: Sequence[TokenSequence]) -> None:
        """Write the dense vectors of sequences with chunks: a mean for each chunk, however wholes are pooled."""
        chunks = {
            i: one.chunks
            for i, one in enumerate(batch)
            if one.chunks is not None and Output.DENSE in one.outputs
        }
        if not chunks:
            return
        bounds = np.concatenate([plan.starts[i] + one.astype(np.int64) for i, one in chunks.items()])
        means = _host(_means_between(states, bounds))  # (chunks of all sequences, width)
        ends = np.cumsum([len(one) for one in chunks.values()])
        for i, part in zip(chunks, np.split(means, ends[:-1])):
            rows[i][Output.DENSE] = part.copy()

    def _dense(self, states: Tensor, plan: Plan, askers: Sequence[int]) -> Sequence[Float32]:
        if self.pooling == "mean":
            pooled = _means(states, plan)
            pooled = pooled if len(askers) == len(pooled) else pooled[list(askers)]
        else:
            pooled = _first_tokens(states, plan, askers)
        return [row.copy() for row in _host(pooled)]

    def _sparse(self, states: Tensor, plan: Plan, askers: Sequence[int]) -> Sequence[Float32]:
        assert self.sparse is not None
        tokens = _tokens(states, plan, askers, skip=0)
        return _split(_host(self.sparse(tokens).relu_()[:, 0]), plan, askers, skip=0)

    def _multi(self, states: Tensor, plan: Plan, askers: Sequence[int]) -> Sequence[Float32]:
        assert self.multi is not None
        tokens = _tokens(states, plan, askers, skip=1)
        return _split(_host(self.multi(tokens)), plan, askers, skip=1)

    def _score(self, states: Tensor, plan: Plan, askers: Sequence[int]) -> Sequence[Float32]:
        assert self.classifier is not None
        return _scalars(self.classifier(_first_tokens(states, plan, askers)))


class LogitReadout:
    """For networks that end in a score of their own: states are logits, shape (sequences, 1)."""

    def __call__(self, states: Tensor, plan: Plan, batch: Sequence[TokenSequence]) -> Rows:
        """Give the logits."""
        return [{Output.SCORE: logit} for logit in _scalars(states)]

    def reads_first_tokens_only(self, batch: Sequence[TokenSequence]) -> bool:
        """Say no: the network itself reads its states."""
        return False


class RobertaClassifier(nn.Module):
    """Dense layer, tanh, projection to one logit."""

    def __init__(self, config: NativeConfig) -> None:
        super().__init__()
        self.dense = Linear(config.width, config.width)
        self.out = Linear(config.width, 1)

    def fill(self, state: StateDict) -> None:
        """Take the weights; see `NativeEncoder.fill`."""
        self.dense.fill(state, "classifier.dense")
        self.out.fill(state, "classifier.out_proj")

    def forward(self, first: Tensor) -> Tensor:
        """Give the logits of first-token states, shape (n, 1)."""
        return self.out(self.dense(first).tanh())  # type: ignore[no-any-return]


class BertClassifier(RobertaClassifier):
    """BERT's pooler (dense layer, tanh) and its classifier: the same under other names."""

    def fill(self, state: StateDict) -> None:
        """Take the weights; see `NativeEncoder.fill`."""
        self.dense.fill(state, "pooler.dense")
        self.out.fill(state, "classifier")


def _first_tokens(states: Tensor, plan: Plan, askers: Sequence[int]) -> Tensor:
    firsts = states.index_select(0, plan.first_rows)
    return (firsts if len(askers) == len(firsts) else firsts[list(askers)]).float()  # (askers, width)


def _means(states: Tensor, plan: Plan) -> Tensor:
    parts = [
        states[run.tokens].view(run.count, run.length, -1).mean(1, dtype=torch.float32) for run in plan.runs
    ]
    return torch.cat(parts)  # (sequences, width)


def _means_between(states: Tensor, bounds: NDArray[np.int64]) -> Tensor:
    parts = [states[first:end].mean(0, dtype=torch.float32) for first, end in bounds.tolist()]
    return torch.stack(parts) if parts else torch.zeros(0, states.shape[1])


def _tokens(states: Tensor, plan: Plan, askers: Sequence[int], skip: int) -> Tensor:
    if not skip and len(askers) == len(plan.lengths):
        return states.float()
    parts = [states[plan.starts[index] + skip : plan.starts[index + 1]] for index in askers]
    return torch.cat(parts).float()  # (tokens of the askers, width)


def _split(values: Float32, plan: Plan, askers: Sequence[int], skip: int) -> list[Float32]:
    """Cut values of tokens into one array per sequence; each owns its memory, so that none pins the batch."""
    ends = np.cumsum([plan.lengths[index] - skip for index in askers])
    return [part.copy() for part in np.split(values, ends[:-1])]


def _scalars(logits: Tensor) -> list[Float32]:
    return [np.array(logit, dtype=np.float32) for logit in _host(logits[:, 0].float())]


def _host(values: Tensor) -> Float32:
    array: Float32 = np.ascontiguousarray(values.cpu().numpy(), dtype=np.float32)
    return array
