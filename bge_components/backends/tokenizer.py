"""Texts to token ids on an immutable tokeniser: it never truncates or pads, so threads can share it; we cut ids."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Encoding, Tokenizer
from tokenizers.normalizers import BertNormalizer

from ..contracts import Cut, Int32
from ..errors import BrokenCheckpointError, InputError, UnsupportedCheckpointError
from .prefixes import PrefixReader

_BERT_SETTINGS = {
    "do_lower_case": "lowercase",
    "strip_accents": "strip_accents",
    "tokenize_chinese_chars": "handle_chinese_chars",
}
_PROBE = ("a", "b")


@dataclass(frozen=True, eq=False)
class _Layout:
    """Special tokens around one text or two: `before` first `between` second `after`, and all segment ids."""

    before: Int32
    after: Int32
    between: Int32 = field(default_factory=lambda: np.zeros(0, dtype=np.int32))
    types: tuple[int, int, int, int, int] = (0, 0, 0, 0, 0)

    @property
    def overhead(self) -> int:
        return len(self.before) + len(self.between) + len(self.after)


class FastTokenizer:
    """A `TextTokenizer` over the tokeniser of a checkpoint folder. Nothing in it changes after construction."""

    special_ids: frozenset[int]

    def __init__(self, tokenizer: Tokenizer, *, uses_types: bool = False) -> None:
        """Take over a tokeniser, which must not be used by others: truncation and padding are turned off in it.

        Args:
            tokenizer: Of the `tokenizers` package.
            uses_types: Whether the network tells segments apart by type ids (BERT).

        Raises:
            UnsupportedCheckpointError: If its special tokens do not stand around the texts.
        """
        tokenizer.no_truncation()
        tokenizer.no_padding()
        self._tokenizer = tokenizer
        self._single = _single_layout(tokenizer)
        self._pair = _pair_layout(tokenizer)
        self._typed = uses_types and any(self._pair.types)
        self.special_ids = _special_ids(tokenizer, self._single, self._pair)
        self._reader = PrefixReader(tokenizer)

    @classmethod
    def read(
        cls, folder: Path, *, uses_types: bool = False, trust_remote_code: bool = False
    ) -> FastTokenizer:
        """Read tokenizer.json, or where there is none what transformers makes of the other files.

        Raises:
            BrokenCheckpointError: If the files are missing or unreadable.
            UnsupportedCheckpointError: If the checkpoint has a tokeniser in pure Python only.
        """
        path = folder / "tokenizer.json"
        tokenizer = _read_json(path) if path.is_file() else _read_others(folder, trust_remote_code)
        return cls(tokenizer, uses_types=uses_types)

    def encode(self, texts: Sequence[str], max_tokens: int) -> tuple[list[Int32], list[Cut]]:
        """Give the ids of each text, special tokens included, cut to `max_tokens`, and the cuts.

        The same as transformers' `tokenizer(text, truncation=True, max_length=max_tokens)`.

        Raises:
            InputError: If `max_tokens` has no room for the special tokens.
        """
        room = max_tokens - self._single.overhead
        if room < 0:
            raise InputError(
                f"max_tokens={max_tokens} has no room for the {self._single.overhead} special tokens"
            )
        plain, cuts = self._reader.read(texts, room)
        before, after = self._single.before, self._single.after
        rows = [np.concatenate((before, ids, after)) for ids in plain]
        return rows, [Cut(cut.index, cut.kept + self._single.overhead, cut.dropped) for cut in cuts]

    def encode_plain(self, texts: Sequence[str], max_tokens: int) -> tuple[list[Int32], list[Cut]]:
        """Give the ids without special tokens, cut to `max_tokens`, and the cuts.

        Raises:
            InputError: If `max_tokens` is negative.
        """
        if max_tokens < 0:
            raise InputError(f"max_tokens must be 0 or more, got {max_tokens}")
        return self._reader.read(texts, max_tokens)

    def encode_spans(self, texts: Sequence[str]) -> list[tuple[Int32, Int32]]:
        """Give the ids of each whole text and where in it each token stands; see `contracts.TextTokenizer`."""
        encodings = self._tokenizer.encode_batch(list(texts), add_special_tokens=False)
        return [self._with_spans(text, encoding) for text, encoding in zip(texts, encodings)]

    def join_pair(self, first: Int32, second: Int32) -> tuple[Int32, Int32 | None]:
        """Assemble two id arrays into one pair: `<s> first </s></s> second </s>`, or as the tokeniser has it.

        Returns:
            ids, shape (tokens,), int32, and segment ids of the same shape; None where the network has none.
        """
        layout = self._pair
        parts = (layout.before, first, layout.between, second, layout.after)
        ids = np.concatenate(parts).astype(np.int32, copy=False)
        if not self._typed:
            return ids, None
        return ids, np.repeat(np.array(layout.types, dtype=np.int32), [len(part) for part in parts])

    def pair_overhead(self) -> int:
        """Give the number of special tokens that `join_pair` adds."""
        return self._pair.overhead

    def tokens_of(self, ids: Sequence[int]) -> list[str]:
        """Give the vocabulary entry of each id, word-boundary marks kept ("▁What", "##ing").

        Raises:
            InputError: If an id is not in the vocabulary.
        """
        return [self._token_of(int(token_id)) for token_id in ids]

    def _with_spans(self, text: str, encoding: Encoding) -> tuple[Int32, Int32]:
        before, after = self._single.before, self._single.after
        ids = np.concatenate((before, np.array(encoding.ids, dtype=np.int32), after))
        inside = [(stop - len(text[start:stop].lstrip()), stop) for start, stop in encoding.offsets]
        spans = [(-1, -1)] * len(before) + inside + [(len(text), len(text))] * len(after)
        table = np.array(spans, dtype=np.int32).reshape(-1, 2)
        return ids, np.maximum.accumulate(table, axis=0)

    def _token_of(self, token_id: int) -> str:
        token = self._tokenizer.id_to_token(token_id) if 0 <= token_id < 2**31 else None
        if token is None:
            size = self._tokenizer.get_vocab_size()
            raise InputError(f"token id {token_id} is not in the vocabulary of {size} entries")
        return str(token)


def _read_json(path: Path) -> Tokenizer:
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # the Rust side raises nothing more precise
        raise BrokenCheckpointError(
            f"{path}: expected a tokenizer.json, found something else: {error}"
        ) from error
    if isinstance(tokenizer.normalizer, BertNormalizer):
        _apply_bert_settings(tokenizer, path.with_name("tokenizer_config.json"))
    return tokenizer


def _apply_bert_settings(tokenizer: Tokenizer, path: Path) -> None:
    """Let tokenizer_config.json overrule tokenizer.json where both speak of the normaliser, as transformers does."""
    config = _json_object(path) if path.is_file() else {}
    if not str(config.get("tokenizer_class", "")).startswith("Bert"):
        return
    normalizer = tokenizer.normalizer
    for key, name in _BERT_SETTINGS.items():
        if key in config and config[key] != getattr(normalizer, name):
            setattr(normalizer, name, config[key])
    tokenizer.normalizer = normalizer


def _json_object(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BrokenCheckpointError(f"{path}: expected a JSON object: {error}") from error
    return found if isinstance(found, dict) else {}


def _read_others(folder: Path, trust_remote_code: bool) -> Tokenizer:
    from transformers import AutoTokenizer

    try:
        found = AutoTokenizer.from_pretrained(
            folder, local_files_only=True, trust_remote_code=trust_remote_code
        )
    except (OSError, ValueError, KeyError, TypeError, ImportError) as error:
        raise BrokenCheckpointError(
            f"{folder}: expected tokenizer.json or other tokeniser files that transformers reads: {error}"
        ) from error
    files = sorted(set(found.vocab_files_names.values()))
    if not any((folder / name).is_file() for name in files):  # transformers makes an empty tokeniser then
        raise BrokenCheckpointError(
            f"{folder}: expected tokenizer.json or one of {files}, found none of them"
        )
    backend = getattr(found, "backend_tokenizer", None)
    if not isinstance(backend, Tokenizer):
        raise UnsupportedCheckpointError(
            f"{folder}: {type(found).__name__} is a tokeniser in pure Python; tokenizer.json is needed. "
            "Many checkpoints have one on the hub: download it into the folder"
        )
    return Tokenizer.from_str(backend.to_str())  # a copy of our own


def _single_layout(tokenizer: Tokenizer) -> _Layout:
    encoding = tokenizer.encode(_PROBE[0])
    before, after = _around(encoding.sequence_ids, 0)
    ids = np.array(encoding.ids, dtype=np.int32)
    return _Layout(ids[:before], ids[after:])


def _pair_layout(tokenizer: Tokenizer) -> _Layout:
    encoding = tokenizer.encode(*_PROBE)
    start, middle = _around(encoding.sequence_ids, 0)
    second, end = _around(encoding.sequence_ids, 1)
    if second < middle:
        raise UnsupportedCheckpointError("this tokeniser puts the second text of a pair before the first")
    ids, types = np.array(encoding.ids, dtype=np.int32), encoding.type_ids
    parts = (
        slice(0, start),
        slice(start, middle),
        slice(middle, second),
        slice(second, end),
        slice(end, None),
    )
    kinds = [types[part][0] if types[part] else 0 for part in parts]
    return _Layout(
        ids[parts[0]], ids[parts[4]], ids[parts[2]], (kinds[0], kinds[1], kinds[2], kinds[3], kinds[4])
    )


def _around(sequence_ids: Sequence[int | None], which: int) -> tuple[int, int]:
    places = [place for place, sequence in enumerate(sequence_ids) if sequence == which]
    if not places or places != list(range(places[0], places[-1] + 1)):
        raise UnsupportedCheckpointError("this tokeniser puts special tokens inside a text, not around it")
    return places[0], places[-1] + 1


def _special_ids(tokenizer: Tokenizer, *layouts: _Layout) -> frozenset[int]:
    found = {token_id for token_id, token in tokenizer.get_added_tokens_decoder().items() if token.special}
    for layout in layouts:
        found |= {*layout.before.tolist(), *layout.between.tolist(), *layout.after.tolist()}
    unknown = getattr(tokenizer.model, "unk_token", None)
    unknown_id = tokenizer.token_to_id(unknown) if isinstance(unknown, str) else None
    return frozenset(found if unknown_id is None else {*found, unknown_id})
