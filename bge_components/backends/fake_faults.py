"""What can be made to go wrong in a fake model: where, when and how."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from ..contracts import TokenSequence
from ..errors import DeviceOutOfMemoryError
from .fake_words import word_id, words_of

_LONGEST_HANG_S = 60.0


@dataclass(frozen=True, kw_only=True, eq=False)
class FakeFaults:
    """What goes wrong. Words are single words in lower case; a text is guilty if it holds one of them.

    Attributes:
        out_of_memory_above: A forward pass of more tokens than this runs out of memory.
        errors: Word, and what makes the exception that a forward pass with it raises. A BaseException such as
            SystemExit kills the thread.
        failing_calls: Numbers of forward passes, counted from 1, that raise RuntimeError whatever they hold.
        nan: Words whose texts come out as NaN.
        nan_also_exact: Whether they still do when recomputed in fp32.
        hang: Words whose forward pass waits for `gate`, at most a minute.
        gate: Set it to let hanging passes go on.
        delay_s: How long every forward pass takes.
        untokenizable: Words that the tokeniser fails on, with RuntimeError.
        failing_loads: Numbers of loads, counted from 1, that fail.
        load_error: Makes the exception of a failing load.
    """

    out_of_memory_above: int | None = None
    errors: tuple[tuple[str, Callable[[], BaseException]], ...] = ()
    failing_calls: frozenset[int] = frozenset()
    nan: frozenset[str] = frozenset()
    nan_also_exact: bool = False
    hang: frozenset[str] = frozenset()
    gate: threading.Event = field(default_factory=threading.Event)
    delay_s: float = 0.0
    untokenizable: frozenset[str] = frozenset()
    failing_loads: frozenset[int] = frozenset()
    load_error: Callable[[], BaseException] = lambda: RuntimeError("injected: loading failed")

    def on_load(self, number: int) -> None:
        """Raise if this load is to fail."""
        if number in self.failing_loads:
            raise self.load_error()

    def on_tokenize(self, texts: Sequence[str]) -> None:
        """Raise if one of the texts is not to be tokenised."""
        if self.untokenizable:
            for index, text in enumerate(texts):
                if guilty := self.untokenizable.intersection(words_of(text)):
                    raise RuntimeError(f"injected: text {index} cannot be tokenised: {sorted(guilty)}")

    def on_run(self, batch: Sequence[TokenSequence], call: int) -> None:
        """Wait or raise if this forward pass is to."""
        if self.delay_s:
            time.sleep(self.delay_s)
        if any(_holds(sequence, word) for word in self.hang for sequence in batch):
            self.gate.wait(_LONGEST_HANG_S)
        tokens = sum(map(len, batch))
        if self.out_of_memory_above is not None and tokens > self.out_of_memory_above:
            raise DeviceOutOfMemoryError(
                f"injected: {tokens} tokens, and memory for {self.out_of_memory_above}"
            )
        if call in self.failing_calls:
            raise RuntimeError(f"injected: forward pass {call} failed")
        for word, make_error in self.errors:
            if any(_holds(sequence, word) for sequence in batch):
                raise make_error()

    def gives_nan(self, sequence: TokenSequence, exact: bool) -> bool:
        """Say whether the outputs of this sequence are to be NaN."""
        return (self.nan_also_exact or not exact) and any(_holds(sequence, word) for word in self.nan)


def _holds(sequence: TokenSequence, word: str) -> bool:
    return bool((sequence.ids == word_id(word)).any())


NO_FAULTS = FakeFaults()
