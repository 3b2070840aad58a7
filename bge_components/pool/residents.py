"""Loaded models and the leases on them. Plain records; the pool holds the lock around what changes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Any

from ..contracts import (
    DEFAULT_OPTIONS,
    CallOptions,
    Cut,
    Model,
    ModelInfo,
    ModelKey,
    ModelSource,
    Output,
    Priority,
    SequenceOutputs,
    TextTokenizer,
    TokenSequence,
)
from ..errors import MissingOutputError, PoolError
from .memo import OutputMemo, digest_of
from .requests import BatchLimits, Request, Ticket
from .stats import ModelStats

if TYPE_CHECKING:
    from .device import Device


class Resident:
    """One copy of one model's weights, on one device."""

    def __init__(
        self, key: ModelKey, source: ModelSource, model: Model, device: Device, memo: OutputMemo
    ) -> None:
        self.key = key
        self.source = source
        self.model = model
        self.device = device
        self.memo = memo
        self.leases = 0
        self.pinned = False
        self.used = time.monotonic()
        self.cut_texts = 0

    @property
    def idle(self) -> bool:
        """Whether it may be dropped."""
        return self.leases == 0 and not self.pinned

    def stats(self) -> ModelStats:
        """Give a snapshot."""
        return ModelStats(
            info=self.model.info,
            leases=self.leases,
            pinned=self.pinned,
            idle_s=0.0 if self.leases else time.monotonic() - self.used,
            cut_texts=self.cut_texts,
            memo_hits=self.memo.hits,
        )


class Lease:
    """The right to use a model for one call: while it is held, the model stays loaded.

    Use it as a context manager, or call `release`.
    """

    def __init__(
        self,
        residents: Sequence[Resident],
        give_back: Callable[[Lease], None],
        track: Callable[[Request], None],
    ) -> None:
        self.residents = tuple(residents)
        self._give_back = give_back
        self._track = track
        self._released = False

    def __enter__(self) -> Lease:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    @property
    def info(self) -> ModelInfo:
        """What the model is (of the first copy, where there are several)."""
        return self.residents[0].model.info

    @property
    def checkpoint(self) -> Any:
        """The catalogue's entry of the model, as its source described it when it was loaded."""
        return self.residents[0].source.checkpoint()

    @property
    def tokenizer(self) -> TextTokenizer:
        """The model's tokeniser."""
        return self.residents[0].model.tokenizer

    def release(self) -> None:
        """Give the model back; a second call does nothing."""
        if not self._released:
            self._released = True
            self._give_back(self)

    def count_cuts(self, cuts: Sequence[Cut]) -> None:
        """Add cut texts to the model's statistics."""
        self.residents[0].cut_texts += len(cuts)

    def submit(
        self,
        sequences: Sequence[TokenSequence],
        options: CallOptions = DEFAULT_OPTIONS,
        on_done: Callable[[int], None] | None = None,
    ) -> Future[list[SequenceOutputs]]:
        """Queue sequences on the least loaded device that holds the model.

        Sequences that are equal run once; what the memo still holds does not run at all.

        Args:
            sequences: What to run, each with the outputs wanted of it.
            options: Priority (default: bulk), timeout, and what to do when the queue is full.
            on_done: Called from the compute thread with the number of sequences just finished.

        Returns:
            Future of one mapping of outputs per sequence, in their order. Arrays are read-only.

        Raises:
            PoolError: If the lease was released, the pool closed or the queue full.
            MissingOutputError: If the model has no such output.
        """
        if self._released:
            raise PoolError("this lease was given back; open a new one")
        resident = self._least_loaded()
        self._check_outputs(sequences)
        options = options.started()
        request = Request(
            len(sequences), timeout_s=options.timeout_s, deadline=options.deadline, on_done=on_done
        )
        tickets = _tickets_for(request, sequences, resident, options)
        if tickets:
            self._track(request)
            resident.device.submit(tickets, wait_for_room=options.on_full == "wait")
        return request.future

    def _least_loaded(self) -> Resident:
        if len(self.residents) == 1:
            return self.residents[0]  # the load of a device is a sum over all that waits there
        return min(self.residents, key=lambda one: one.device.load)

    def _check_outputs(self, sequences: Iterable[TokenSequence]) -> None:
        wanted = frozenset[Output]().union(*{sequence.outputs for sequence in sequences})
        if missing := wanted - self.info.outputs:
            raise MissingOutputError(
                f"{self.info.name} gives {_names(self.info.outputs)}, but {_names(missing)} was asked for: "
                "choose a checkpoint that has it, BAAI/bge-m3 for example"
            )


def _tickets_for(
    request: Request, sequences: Sequence[TokenSequence], resident: Resident, options: CallOptions
) -> list[Ticket]:
    memo = resident.memo
    priority = Priority.BULK if options.priority is None else options.priority
    limits = BatchLimits(options.batch_size, options.batch_tokens)
    places: dict[tuple[bytes, frozenset[Output]], list[int]] = {}
    for index, sequence in enumerate(sequences):
        places.setdefault((digest_of(sequence), sequence.outputs), []).append(index)
    tickets = []
    for (digest, wanted), indices in places.items():
        known = memo.get(digest, wanted, priority)
        if known is not None:
            request.deliver(indices, known)
            continue
        sequence = sequences[indices[0]]
        wider = memo.wider(wanted, priority) & resident.model.info.outputs
        if wider != wanted:
            sequence = replace(sequence, outputs=wider)
        remember = _remembering(memo, digest)
        tickets.append(Ticket(request, indices, sequence, resident.model, priority, limits, remember))
    return tickets


def _remembering(memo: OutputMemo, digest: bytes) -> Callable[[SequenceOutputs], None]:
    return lambda outputs: memo.put(digest, outputs)


def _names(outputs: Iterable[Output]) -> str:
    return ", ".join(sorted(str(output) for output in outputs))
