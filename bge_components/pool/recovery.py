"""Runs one batch so that only the guilty ticket hears of a failure: halving, bisection, exact recomputation."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable

import numpy as np

from ..contracts import SequenceOutputs
from ..errors import ComputeError, DeviceOutOfMemoryError, NonFiniteError
from .requests import Ticket

log = logging.getLogger(__name__)

_GOOD_BATCHES_TO_GROW = 64


class TokenBudget:
    """How many tokens a device is given at once: halved when memory runs out, and grown back."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.now = most
        self._good = 0

    def shrink(self, tokens: int) -> None:
        """Remember that `tokens` at once were too many."""
        self.now = min(self.now, max(1, tokens // 2))
        self._good = 0

    def succeed(self) -> None:
        """Count a good batch; after enough of them try twice as many tokens again."""
        if self.now == self.most:
            return
        self._good += 1
        if self._good >= _GOOD_BATCHES_TO_GROW:
            self.now, self._good = min(self.most, self.now * 2), 0


class BatchRunner:
    """Runs batches on one device and settles every ticket of them, one way or the other."""

    def __init__(self, budget: TokenBudget, counts: Counter[str], make_room: Callable[[], bool]) -> None:
        """Set up.

        Args:
            budget: The device's token budget.
            counts: Counters to keep for `stats()`.
            make_room: Drops idle models of the device; says whether there were any.
        """
        self._budget = budget
        self._counts = counts
        self._make_room = make_room

    def run(self, tickets: list[Ticket], wanted: Callable[[], bool], passed: Callable[[], bool]) -> None:
        """Run the tickets in one forward pass, or in smaller ones where that fails.

        Args:
            tickets: All of one model.
            wanted: Says whether this thread still owns the device; if not, nothing more is run.
            passed: Says the same after a good forward pass, before anybody gets a result of it; if not, the results
                are dropped.
        """
        parts = [tickets]
        while parts and wanted():
            part = [ticket for ticket in parts.pop() if ticket.alive]
            if part:
                parts.extend(self._attempt(part, passed))

    def _attempt(self, part: list[Ticket], passed: Callable[[], bool]) -> list[list[Ticket]]:
        """Run one part; give what has to be tried again, in reverse order."""
        try:
            outputs = _forward(part)
        except DeviceOutOfMemoryError as error:
            return self._after_out_of_memory(part, error)
        except Exception as error:
            return self._after_failure(part, error)
        if not passed():
            return []
        self._budget.succeed()
        for ticket, result in zip(part, outputs):
            self._settle(ticket, result)
        return []

    def _after_out_of_memory(self, part: list[Ticket], error: DeviceOutOfMemoryError) -> list[list[Ticket]]:
        self._counts["out_of_memory"] += 1
        tokens = sum(ticket.tokens for ticket in part)
        part[0].model.free_memory()
        self._budget.shrink(tokens)
        if len(part) > 1:
            log.warning(
                "out of memory at %d tokens; trying halves, %d at most from now", tokens, self._budget.now
            )
            return _halves(part)
        if self._make_room():
            return [part]
        device = part[0].model.info.device
        failure = DeviceOutOfMemoryError(
            f"a single text of {tokens} tokens does not fit on {device} beside the models in use: "
            "cut it shorter (max_tokens), use a smaller checkpoint or dtype, or free memory there"
        )
        failure.__cause__ = error
        part[0].request.fail(failure)
        return []

    def _after_failure(self, part: list[Ticket], error: Exception) -> list[list[Ticket]]:
        self._counts["failed_passes"] += 1
        if len(part) > 1:
            return _halves(part)
        ticket = part[0]
        failure = ComputeError(
            f"the forward pass of item {ticket.indices[0]} ({ticket.tokens} tokens) failed: "
            f"{type(error).__name__}: {error}",
            index=ticket.indices[0],
        )
        failure.__cause__ = error
        ticket.request.fail(failure)
        return []

    def _settle(self, ticket: Ticket, outputs: SequenceOutputs) -> None:
        try:
            ticket.deliver(outputs if _finite(outputs) else self._recompute(ticket))
        except Exception as error:
            self._counts["failed_passes"] += 1
            ticket.request.fail(error)

    def _recompute(self, ticket: Ticket) -> SequenceOutputs:
        self._counts["exact_reruns"] += 1
        (outputs,) = ticket.model.run([ticket.sequence], exact=True)
        if not _finite(outputs):
            raise NonFiniteError(
                f"item {ticket.indices[0]} ({ticket.tokens} tokens) gave NaN or infinity, also alone in fp32: "
                "the checkpoint's weights are damaged or do not fit this text"
            )
        return outputs


def _forward(part: list[Ticket]) -> list[SequenceOutputs]:
    outputs = part[0].model.run([ticket.sequence for ticket in part])
    if len(outputs) != len(part):
        raise RuntimeError(f"the backend gave {len(outputs)} results for {len(part)} sequences")
    return outputs


def _halves(part: list[Ticket]) -> list[list[Ticket]]:
    middle = len(part) // 2
    return [part[middle:], part[:middle]]


def _finite(outputs: SequenceOutputs) -> bool:
    return all(bool(np.isfinite(array.sum(dtype=np.float64))) for array in outputs.values())
