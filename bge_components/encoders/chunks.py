"""Late chunking: whole documents through the network, then vectors of their chunks (arXiv:2409.04701)."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..contracts import Float32, Int32, Output, SequenceOutputs, Span, TextTokenizer, TokenSequence
from ..errors import InputError, InputTypeError
from .reader import TextReader
from .windows import WindowCutter

LONG_TEXTS_AT_ONCE = 64
_CONTEXT_TOKENS = 256
"""What a pass over a later part of a very long document sees of the part before it, at most."""


@dataclass(frozen=True, slots=True)
class _Part:
    """Characters that one pass answers for, and where they lie in what it reads."""

    owned: Span
    shift: int

    def tokens(self, spans: Int32, chunk: Span) -> Span | None:
        """Give the range of tokens that share a character with a chunk, None where there are none."""
        start, stop = max(chunk[0], self.owned[0]) + self.shift, min(chunk[1], self.owned[1]) + self.shift
        if start >= stop:
            return None
        first = int(np.count_nonzero((spans[:, 1] <= start) & (spans[:, 0] < start)))
        end = int(np.searchsorted(spans[:, 0], stop))
        return (first, end) if first < end else None


class ChunkReader:
    """Reads documents as the passes of one call.

    A document is one pass where it fits. A longer one becomes windows that overlap (the paper's "long late
    chunking"): each pass answers for what the one before it did not reach, and the overlap gives it context.
    """

    def __init__(self, reader: TextReader, tokenizer: TextTokenizer, outputs: frozenset[Output]) -> None:
        self._reader = reader
        self._tokenizer = tokenizer
        self._outputs = outputs
        self._shift = reader.prompted("\0").rindex("\0")
        room = reader.max_tokens - len(tokenizer.encode_spans([reader.prompted("")])[0][0])
        overlap = max(0, min(_CONTEXT_TOKENS, room // 4))
        self._cutter = WindowCutter(tokenizer, reader.prompted, reader.max_tokens, overlap)

    def batches(
        self, texts: Sequence[str], chunks: Sequence[Sequence[Span]], joiner: ChunkJoiner
    ) -> Iterator[list[TokenSequence]]:
        """Give the passes of a few texts at a time, and tell the joiner whose they are."""
        bases = np.cumsum([0, *map(len, chunks)]).tolist()
        for begin in range(0, len(texts), LONG_TEXTS_AT_ONCE):
            batch = []
            for index in range(begin, min(begin + LONG_TEXTS_AT_ONCE, len(texts))):
                for sequence, rows in self._passes(texts[index], chunks[index]):
                    joiner.expect([bases[index] + row for row in rows])
                    batch.append(sequence)
            yield batch

    def _passes(self, text: str, chunks: Sequence[Span]) -> Iterator[tuple[TokenSequence, list[int]]]:
        """Give the passes over a text that its chunks need: what to run, and whose each range of tokens is."""
        left = set(range(len(chunks)))
        found = []
        for ids, spans, part in self._parts(text):
            ranges = {row: part.tokens(spans, chunk) for row, chunk in enumerate(chunks)}
            mine = {row: one for row, one in ranges.items() if one is not None}
            left -= mine.keys()
            found.append((ids, mine))
        found[0][1].update(dict.fromkeys(sorted(left), (0, 1)))  # no token of its own: it gets [CLS]
        for ids, mine in found:
            if mine:
                table = np.array(list(mine.values()), dtype=np.int32)
                yield TokenSequence(ids, self._outputs, chunks=table), list(mine)

    def _parts(self, text: str) -> Iterator[tuple[Int32, Int32, _Part]]:
        ((ids, spans),) = self._tokenizer.encode_spans([self._reader.prompted(text)])
        if len(ids) <= self._reader.max_tokens:
            yield ids, spans, _Part((0, len(text)), self._shift)
            return
        covered = 0
        for start, stop in self._cutter.windows([text])[0]:
            ((ids, spans),) = self._tokenizer.encode_spans([self._reader.prompted(text[start:stop])])
            yield ids, spans, _Part((covered, stop), self._shift - start)
            covered = stop


class ChunkJoiner:
    """Collects what the passes gave for each chunk, in whichever passes its tokens were."""

    def __init__(self, count: int) -> None:
        """Set up for so many chunks."""
        self._pieces: list[list[tuple[Int32, SequenceOutputs]]] = [[] for _ in range(count)]
        self._owners: deque[list[int]] = deque()

    def expect(self, owners: list[int]) -> None:
        """Say whose the ranges of the next pass are: places of chunks in the whole call."""
        self._owners.append(owners)

    def add(self, sequences: Sequence[TokenSequence], outputs: Sequence[SequenceOutputs]) -> None:
        """Take the outputs of the next passes."""
        for sequence, found in zip(sequences, outputs):
            assert sequence.chunks is not None
            wanted = {output: found[output] for output in sequence.outputs}
            ranges = sequence.chunks.tolist()
            for number, (chunk, (first, end)) in enumerate(zip(self._owners.popleft(), ranges)):
                self._pieces[chunk].append((sequence.ids[first:end], _piece(wanted, number, first, end)))

    def chunks(self) -> tuple[list[TokenSequence], list[SequenceOutputs]]:
        """Give each chunk as if it had been a sequence of its own."""
        joined = [_joined(pieces) for pieces in self._pieces]
        return [sequence for sequence, _ in joined], [outputs for _, outputs in joined]


def checked_spans(spans: Any, texts: Sequence[str]) -> list[list[Span]]:
    """Give the chunks of each text as pairs of plain integers.

    Raises:
        InputTypeError: If they are not lists of pairs of integers.
        InputError: If there are not as many lists as texts, or a chunk reaches beyond its text.
    """
    try:
        found = [[(int(start), int(stop)) for start, stop in chunks] for chunks in spans]
    except (TypeError, ValueError) as error:
        raise InputTypeError("spans must be a list of (start, stop) pairs for each text") from error
    if len(found) != len(texts):
        raise InputError(f"spans must be one list for each text: got {len(found)} for {len(texts)} texts")
    for index, (text, chunks) in enumerate(zip(texts, found)):
        for start, stop in chunks:
            if not 0 <= start <= stop <= len(text):
                raise InputError(
                    f"spans[{index}] holds ({start}, {stop}), but its text has characters from 0 to {len(text)}"
                )
    return found


def _piece(found: SequenceOutputs, number: int, first: int, end: int) -> dict[Output, Float32]:
    slices = {
        Output.DENSE: slice(number, number + 1),  # (1, width)
        Output.SPARSE: slice(first, end),
        Output.MULTI: slice(max(first - 1, 0), end - 1),  # the first token has no vector
    }
    return {output: array[slices[output]] for output, array in found.items()}


def _joined(pieces: Sequence[tuple[Int32, SequenceOutputs]]) -> tuple[TokenSequence, SequenceOutputs]:
    ids = np.concatenate([part for part, _ in pieces])
    outputs = {output: np.concatenate([found[output] for _, found in pieces]) for output in pieces[0][1]}
    if Output.DENSE in outputs:
        shares = np.array([len(part) / len(ids) for part, _ in pieces], dtype=np.float32)
        outputs[Output.DENSE] = shares @ outputs[Output.DENSE]  # (width,)
    return TokenSequence(ids, frozenset(outputs)), outputs
