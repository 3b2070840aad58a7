"""A loaded checkpoint on one device: batches in any order in, outputs in the same order out."""

from __future__ import annotations

import gc
from collections.abc import Sequence
from functools import partial
from typing import Protocol, cast

import numpy as np
import torch
from torch import Tensor

from ..contracts import Int32, ModelInfo, Output, SequenceOutputs, TextTokenizer, TokenSequence
from ..errors import InputError, MissingOutputError, PoolClosedError
from . import scratch
from .forks import settle_after_fork
from .heads import Readout, Rows
from .memory import give_free_memory_back, out_of_memory_translated
from .pace import Pace
from .packing import Packed, Plan, order_by_length, packed
from .shares import in_order
from .sharing import run_pass
from .team import dismiss_teams
from .workers import dismiss_workers

_FEW_TOKENS = 32
"""For so few it takes a CPU longer to part first tokens from the others than to compute the last layer for all."""


class Network(Protocol):
    """What runs a packed row."""

    @property
    def shareable(self) -> bool:
        """Whether several threads may run it at once."""
        ...

    @property
    def pace(self) -> Pace | None:
        """What was learned of its small passes; None where they always run alike."""
        ...

    def __call__(self, packed: Packed) -> Tensor:
        """Give what the readout reads: hidden states of all tokens, or of first tokens, or one logit per sequence."""
        ...

    def in_fp32(self) -> Network:
        """Give a copy that computes in fp32."""
        ...


class TorchModel:
    """A `Model` on torch. `run` is for one thread at a time unless its network is shareable, all else for any."""

    def __init__(
        self,
        info: ModelInfo,
        tokenizer: TextTokenizer,
        network: Network,
        readout: Readout,
        vocabulary: int,
    ) -> None:
        """Put the parts together.

        Args:
            info: What it is.
            tokenizer: Its tokeniser.
            network: Takes a `Packed` row, gives what `readout` reads.
            readout: Its heads.
            vocabulary: Ids at or above this are refused before they reach the device.
        """
        self._info = info
        self._tokenizer = tokenizer
        self._network: Network | None = network
        self._readout: Readout | None = readout
        self._vocabulary = vocabulary
        self._device = torch.device(info.device)

    def __repr__(self) -> str:
        return f"TorchModel({self._info})"

    @property
    def info(self) -> ModelInfo:
        """What the model is."""
        return self._info

    @property
    def tokenizer(self) -> TextTokenizer:
        """Its tokeniser."""
        return self._tokenizer

    def run(self, batch: Sequence[TokenSequence], *, exact: bool = False) -> list[SequenceOutputs]:
        """Run one forward pass; see `contracts.Model.run`.

        Raises:
            DeviceOutOfMemoryError: If the device has not enough memory for this batch.
            MissingOutputError: If a sequence asks for an output that the checkpoint does not give.
            InputError: If a sequence is empty, too long, or holds ids outside the vocabulary, or one of its chunks
                is empty or reaches beyond it.
            PoolClosedError: If the model was closed.
        """
        if not batch:
            return []
        self._check(batch)
        settle_after_fork()
        order = order_by_length(batch)
        ordered = [batch[index] for index in order]
        tokens = sum(map(len, ordered))
        with out_of_memory_translated(self._device, f"a batch of {len(batch)} texts ({tokens} tokens)"):
            rows = self._forward(ordered, exact)
        return cast(list[SequenceOutputs], in_order([(order, rows)]))

    def free_memory(self) -> None:
        """Give cached memory back, and the buffers of the calling thread and of those that compute for it."""
        gc.collect()
        self._give_back()

    def close(self) -> None:
        """Drop the weights and give their memory back; a pass that runs ends undisturbed and keeps them so long."""
        self._network = self._readout = None
        self._give_back()  # without the collector, which nothing here needs: it holds every thread up for 0.1 s

    def _give_back(self) -> None:
        scratch.give_back()
        dismiss_workers()
        dismiss_teams()
        if self._device.type == "cpu":
            give_free_memory_back()
        elif self._device.type == "cuda":
            torch.cuda.empty_cache()

    def _forward(self, ordered: Sequence[TokenSequence], exact: bool) -> Rows:
        network, readout = self._network, self._readout
        if network is None or readout is None:
            raise PoolClosedError(f"{self._info.name} was closed")
        if exact and self._info.dtype != "float32":
            network = network.in_fp32()
        on_cpu = self._device.type == "cpu"
        few = on_cpu and sum(map(len, ordered)) <= _FEW_TOKENS
        first_only = not few and readout.reads_first_tokens_only(ordered)
        one = partial(_pass, network, readout, device=self._device, first_only=first_only)
        if not on_cpu:
            return one(ordered)
        plan = Plan(tuple(map(len, ordered)), self._device)
        found = run_pass(
            plan,
            lambda share: (share, one([ordered[place] for place in share])),
            shareable=network.shareable,
            pace=network.pace,
        )
        return in_order(found)

    def _check(self, batch: Sequence[TokenSequence]) -> None:
        info = self._info
        for sequence in batch:
            if not 0 < len(sequence) <= info.max_tokens:
                raise InputError(f"{info.name} takes 1 to {info.max_tokens} tokens, got {len(sequence)}")
            if not sequence.outputs <= info.outputs:
                asked = _names(sequence.outputs - info.outputs)
                raise MissingOutputError(
                    f"{info.name} gives {_names(info.outputs)}, but was asked for {asked}"
                )
            if sequence.chunks is not None:
                _check_chunks(info.name, sequence.chunks, len(sequence))
        ids = np.concatenate([sequence.ids for sequence in batch])
        lowest, highest = int(ids.min()), int(ids.max())
        if lowest < 0 or highest >= self._vocabulary:
            raise InputError(
                f"{info.name} knows token ids from 0 to {self._vocabulary - 1}, got {lowest} to {highest}"
            )


@torch.inference_mode()
def _pass(
    network: Network,
    readout: Readout,
    ordered: Sequence[TokenSequence],
    *,
    device: torch.device,
    first_only: bool,
) -> Rows:
    row = packed(ordered, device, first_only=first_only)
    return readout(network(row), row.given, ordered)


def _check_chunks(name: str, chunks: Int32, tokens: int) -> None:
    first, end = chunks.reshape(-1, 2).T
    wrong = np.flatnonzero((first < 0) | (first >= end) | (end > tokens))
    if chunks.ndim != 2 or chunks.shape[1] != 2 or len(wrong):
        found = chunks[wrong[0]].tolist() if len(wrong) else f"an array of shape {list(chunks.shape)}"
        raise InputError(
            f"{name}: chunks of {tokens} tokens must be (first, end) ranges in them, got {found}"
        )


def _names(outputs: frozenset[Output]) -> str:
    return ", ".join(sorted(map(str, outputs))) or "nothing"
