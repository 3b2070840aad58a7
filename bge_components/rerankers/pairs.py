"""(query, passage) pairs as a cross-encoder reads them: joined ids, windows of long passages, what was cut."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..catalogue import Checkpoint
from ..contracts import Cut, Float32, Int32, Output, TokenSequence
from ..errors import InputError
from ..pool import Lease
from ..truncation import length_limit, report_cuts
from .settings import RerankerSettings

_SCORE = frozenset({Output.SCORE})
_WHOLE = 2**31 - 1


class PairReader:
    """Reads the pairs of one call.

    The query is cut to `query_max_tokens`, the passage to what is left of `max_tokens`, and both are joined by the
    tokeniser's own template: the layout of FlagEmbedding on transformers 4 and of sentence-transformers.

    Attributes:
        windows: How many sequences each pair became.
    """

    def __init__(self, lease: Lease, checkpoint: Checkpoint, settings: RerankerSettings) -> None:
        """Set up.

        Raises:
            InputError: If the lengths leave no room for a passage.
        """
        self._lease = lease
        self._checkpoint = checkpoint
        self._settings = settings
        self._max_tokens = length_limit(
            settings.max_tokens, checkpoint.recommended_tokens, lease.info.max_tokens, checkpoint.name
        )
        self._room = self._max_tokens - lease.tokenizer.pair_overhead()
        asked = settings.query_max_tokens
        self._query_max = self._max_tokens * 3 // 4 if asked is None else asked
        if self._room < 2 or self._query_max >= self._max_tokens:
            raise InputError(
                f"max_tokens={self._max_tokens} and query_max_tokens={self._query_max} leave no room for a passage"
            )
        self._query_max = min(self._query_max, self._room - 1)
        self.windows: list[int] = []
        self._cut = 0

    def read(self, pairs: Sequence[tuple[str, str]]) -> list[TokenSequence]:
        """Read the next pairs of the call; a pair gives one sequence, or one per window.

        Raises:
            TextTooLongError: If something is too long and cuts are refused.
        """
        queries, query_cuts = self._read_queries(pairs)
        windowed = self._settings.long_passages != "first"
        passages, passage_cuts = self._lease.tokenizer.encode_plain(
            [self._prompted(passage, "document") for _, passage in pairs],
            _WHOLE if windowed else self._max_tokens,
        )
        cut = {index for index, (query, _) in enumerate(pairs) if query in query_cuts}
        cut |= {one.index for one in passage_cuts}
        sequences: list[TokenSequence] = []
        for index, ((query, _), passage) in enumerate(zip(pairs, passages)):
            parts = self._parts(passage, self._room - len(queries[query]))
            if not windowed and len(parts[0]) < len(passage):
                cut.add(index)
            self.windows.append(len(parts))
            sequences.extend(self._joined(queries[query], part) for part in parts)
        self._count_cuts(sorted(cut))
        return sequences

    def report(self) -> None:
        """Tell the caller of what was cut so far."""
        report_cuts(self._cut, len(self.windows), self._max_tokens, self._settings.on_truncation)

    def aggregated(self, logits: Float32) -> Float32:
        """Give one logit per pair from one per sequence."""
        if len(logits) == len(self.windows):
            return logits
        starts = np.concatenate([[0], np.cumsum(self.windows)[:-1]]).astype(np.intp)
        if self._settings.long_passages == "max":
            return np.asarray(np.maximum.reduceat(logits, starts), dtype=np.float32)
        return np.asarray(np.add.reduceat(logits, starts) / np.asarray(self.windows), dtype=np.float32)

    def _read_queries(self, pairs: Sequence[tuple[str, str]]) -> tuple[dict[str, Int32], set[str]]:
        distinct = list(dict.fromkeys(query for query, _ in pairs))
        prompted = [self._prompted(query, "query") for query in distinct]
        rows, cuts = self._lease.tokenizer.encode_plain(prompted, self._query_max)
        return dict(zip(distinct, rows)), {distinct[cut.index] for cut in cuts}

    def _prompted(self, text: str, role: str) -> str:
        if role == "query":
            return self._checkpoint.prompted(text, "query", self._settings.query_instruction)
        return self._checkpoint.prompted(text, "document")

    def _parts(self, passage: Int32, room: int) -> list[Int32]:
        if len(passage) <= room:
            return [passage]
        if self._settings.long_passages == "first":
            return [passage[:room]]
        step = max(1, room - self._settings.window_overlap)
        starts = range(0, max(1, len(passage) - room + step), step)
        return [passage[start : start + room] for start in starts]

    def _joined(self, query: Int32, passage: Int32) -> TokenSequence:
        ids, type_ids = self._lease.tokenizer.join_pair(query, passage)
        return TokenSequence(ids, _SCORE, type_ids)

    def _count_cuts(self, cut: list[int]) -> None:
        self._cut += len(cut)
        self._lease.count_cuts([Cut(index, self._max_tokens, 1) for index in cut])
        if cut and self._settings.on_truncation == "error":
            self.report()
