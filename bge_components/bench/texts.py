"""Real texts of chosen lengths: cut from a corpus, or from the texts that every Python installation has."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from importlib import import_module
from pathlib import Path
from random import Random

from tokenizers import Tokenizer

from ..errors import InputError

SPECIAL = 2
"""Special tokens around one text, of BERT and of XLM-RoBERTa."""

_QUERY = (11.0, 0.4, 4, 32)
_PASSAGE = (60.0, 0.95, 8, 512)
"""Median, deviation of the logarithm, least and most tokens: means of about 12 and 90."""

_SEED = 7
_BLOCK = 20_000
"""Characters that are tokenized as one text."""
_ENOUGH = 1_500_000
"""Characters of running text: about 350,000 tokens. Who asks for more gets it again, cut at other places."""
_LONGEST_WORD = 8
"""Tokens after which the next text begins within a word: some writing has no spaces."""
_REFERENCE = "the language reference that comes with Python"


@dataclass(frozen=True, kw_only=True, eq=False)
class Texts:
    """Texts of chosen lengths; the same ones for the same text and tokenizer, and fewer of them are the first ones.

    Attributes:
        running: The text that all are cut from.
        tokenizer: Counts tokens; with neither truncation nor padding.
        source: What the text is, for the reader.
    """

    running: str = field(repr=False)
    tokenizer: Tokenizer = field(repr=False)
    source: str

    @classmethod
    def read(cls, tokenizer: Path, corpus: Path | None = None) -> Texts:
        """Read the text and the tokenizer.

        Args:
            tokenizer: A tokenizer.json.
            corpus: Folder with a corpus.jsonl as BEIR has it; None takes the language reference of Python.

        Raises:
            InputError: If the folder has no such file, or it holds no text.
        """
        counter = Tokenizer.from_file(str(tokenizer))
        counter.no_truncation()
        counter.no_padding()
        if corpus is None:
            return cls(running=_reference(), tokenizer=counter, source=_REFERENCE)
        return cls(running=_corpus(corpus), tokenizer=counter, source=f"the corpus {corpus.name}")

    def queries(self, count: int) -> list[str]:
        """Give short texts, about 12 tokens each."""
        return self.of_lengths(_drawn("queries", count, *_QUERY))

    def passages(self, count: int) -> list[str]:
        """Give texts of mixed lengths, 8 to 512 tokens and about 90 in the mean: few are long."""
        return self.of_lengths(_drawn("passages", count, *_PASSAGE))

    def documents(self, count: int, max_tokens: int) -> list[str]:
        """Give texts that fill `max_tokens`, special tokens included."""
        return self.of_lengths([max_tokens] * count)

    def of_lengths(self, lengths: Sequence[int]) -> list[str]:
        """Give one text after the other of the running text, each of so many tokens, special tokens included."""
        texts, place = [], 0
        for length in lengths:
            text, place = self._next(place, max(1, length - SPECIAL))
            texts.append(text)
        return texts

    def lengths(self, texts: Sequence[str], max_tokens: int | None = None) -> tuple[int, ...]:
        """Give the tokens of each text, special tokens included, cut to `max_tokens`."""
        found = (len(encoding.ids) for encoding in self.tokenizer.encode_batch_fast(list(texts)))
        return tuple(found if max_tokens is None else (min(length, max_tokens) for length in found))

    def pair_lengths(self, query: str, texts: Sequence[str], max_tokens: int) -> tuple[int, ...]:
        """Give the tokens of each pair of the query and a text, special tokens included, cut to `max_tokens`."""
        pairs = self.tokenizer.encode_batch_fast([(query, text) for text in texts])
        return tuple(min(len(encoding.ids), max_tokens) for encoding in pairs)

    @cached_property
    def _spans(self) -> list[tuple[int, int]]:
        """Where each token of the running text stands; it is cut at spaces into blocks to be tokenized."""
        starts, blocks = zip(*_blocks(self.running))
        spans: list[tuple[int, int]] = []
        for start, encoding in zip(starts, self.tokenizer.encode_batch(blocks, add_special_tokens=False)):
            spans.extend((start + first, start + last) for first, last in encoding.offsets if last > first)
        return spans

    def _next(self, place: int, tokens: int) -> tuple[str, int]:
        """Give the text of that many tokens from a token on, and the first token after it that begins a word."""
        spans = self._spans
        if tokens > len(spans):
            raise InputError(
                f"a text of {tokens:,} tokens was asked for, {self.source} has {len(spans):,} in all"
            )
        if place + tokens > len(spans):
            place = 0
        end = place + tokens
        text = self.running[spans[place][0] : spans[end - 1][1]]
        while end < min(place + tokens + _LONGEST_WORD, len(spans)) and spans[end][0] == spans[end - 1][1]:
            end += 1
        return text.strip(), end


def _drawn(kind: str, count: int, median: float, deviation: float, least: int, most: int) -> list[int]:
    """Draw lengths that are log-normal between two bounds."""
    random = Random(f"{_SEED} {kind}")
    drawn = (median * random.lognormvariate(0.0, deviation) for _ in range(count))
    return [round(min(max(length, least), most)) for length in drawn]


def _corpus(folder: Path) -> str:
    path = folder / "corpus.jsonl"
    if not path.is_file():
        raise InputError(f"--texts {folder}: expected a corpus.jsonl in it, as BEIR has it; found none")
    with path.open(encoding="utf-8") as lines:
        running = "\n".join(_texts_in(lines, path))[:_ENOUGH]
    if not running.strip():
        raise InputError(f"{path} holds no text")
    return running


def _texts_in(lines: Iterator[str], path: Path) -> Iterator[str]:
    try:
        for line in lines:
            yield json.loads(line)["text"]
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f'{path}: expected lines like {{"_id": ..., "text": ...}}: {error!r}') from error


def _reference() -> str:
    try:
        topics: dict[str, str] = import_module("pydoc_data.topics").topics
    except ImportError as error:
        raise InputError(
            f"this Python has no {_REFERENCE} to take texts from: give --texts FOLDER"
        ) from error
    return "\n".join(" ".join(topics[name].split()) for name in sorted(topics))[:_ENOUGH]


def _blocks(text: str) -> Iterator[tuple[int, str]]:
    """Give the text in pieces that end at a line or a space, each with the place where it begins."""
    start = 0
    while start < len(text):
        end = start + _BLOCK
        if end < len(text):
            end = max(text.rfind("\n", start, end), text.rfind(" ", start, end), start) + 1
            end = end if end > start + 1 else start + _BLOCK
        yield start, text[start:end]
        start = end
