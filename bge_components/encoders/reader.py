"""Texts as the network reads them: the prompt of their role, tokens, and what had to be cut."""

from __future__ import annotations

from collections.abc import Sequence

from ..catalogue import Checkpoint
from ..contracts import Output, Role, TokenSequence
from ..errors import InputError
from ..pool import Lease
from ..truncation import length_limit, report_cuts
from .settings import EncoderSettings


class TextReader:
    """Reads the texts of one call.

    Attributes:
        max_tokens: Longest text, special tokens included.
        cut: Places of the texts that were cut, in the list of the whole call.
    """

    def __init__(
        self,
        lease: Lease,
        checkpoint: Checkpoint,
        settings: EncoderSettings,
        role: Role,
        outputs: frozenset[Output],
    ) -> None:
        self._lease = lease
        self._checkpoint = checkpoint
        self._on_truncation = settings.on_truncation
        self._role = role
        self._outputs = outputs
        self._instruction = instruction_for(settings, checkpoint, role)
        self._read = 0
        self.cut: list[int] = []
        self.max_tokens = length_limit(
            settings.max_tokens, checkpoint.recommended_tokens, lease.info.max_tokens, checkpoint.name
        )

    def prompted(self, text: str) -> str:
        """Give a text with the prompt of its role."""
        return self._checkpoint.prompted(text, self._role, self._instruction)

    def read(self, texts: Sequence[str]) -> list[TokenSequence]:
        """Read the next texts of the call.

        Raises:
            TextTooLongError: If one is too long and cuts are refused.
        """
        rows, cuts = self._lease.tokenizer.encode([self.prompted(text) for text in texts], self.max_tokens)
        self.cut.extend(self._read + cut.index for cut in cuts)
        self._read += len(texts)
        if cuts and self._on_truncation == "error":
            self.report()
        self._lease.count_cuts(cuts)
        return [TokenSequence(ids, self._outputs) for ids in rows]

    def report(self) -> None:
        """Tell the caller of what was cut so far."""
        report_cuts(len(self.cut), self._read, self.max_tokens, self._on_truncation)


def instruction_for(settings: EncoderSettings, checkpoint: Checkpoint, role: Role) -> str | None:
    """Give the instruction of a role: the caller's own, the task's, or None for the checkpoint's.

    Raises:
        InputError: If the checkpoint knows no such task.
    """
    own = settings.query_instruction if role == "query" else settings.document_instruction
    if own is not None or settings.task is None:
        return own
    if settings.task not in checkpoint.tasks:
        known = ", ".join(sorted(checkpoint.tasks)) or "none"
        raise InputError(f"{checkpoint.name} has no task {settings.task!r}; it has: {known}")
    query, document = checkpoint.tasks[settings.task]
    return query if role == "query" else document
