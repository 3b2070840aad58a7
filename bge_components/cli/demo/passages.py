"""Documents cut into passages: whole paragraphs merged up to a length, long ones cut between sentences."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from .markup import Paragraph, paragraphs_of

MAX_WORDS = 110
MIN_WORDS = 12

_CJK = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff]")
_WORD = re.compile(r"[(\"'“]?[^\W\d_]+(?:[-'’][^\W\d_]+)*[\"'”)]?[.,;:!?]*")
_SENTENCE = re.compile(r".+?(?:[.!?]\s+|[。！？]|\Z)", re.DOTALL)
_CHANGES = re.compile(r"^\W*v?\d+\.\d+|change ?log|what.s changed|release notes", re.IGNORECASE)
_BOILERPLATE = re.compile(
    r"copyright|licen[sc]ed? under|warrant(y|ies)|as is\b|all rights reserved|redistribution|table of contents"
    r"|img\.shields|badge|pip install|pull request",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Document:
    """A text with a name for people and the way it is marked up (a file's suffix)."""

    source: str
    title: str
    text: str
    suffix: str = ".md"


@dataclass(frozen=True, slots=True)
class Passage:
    """A piece of a document: what is encoded, and where it is from."""

    source: str
    title: str
    text: str


def passages_of(documents: Iterable[Document], *, only_prose: bool = False) -> Iterator[Passage]:
    """Cut documents into passages, each text once.

    Args:
        documents: What to cut, in order.
        only_prose: Leave out what is no running text: licences, lists of links, tables of numbers.
    """
    seen: set[str] = set()
    for document in documents:
        paragraphs = paragraphs_of(document.text, document.suffix)
        if only_prose:
            paragraphs = [paragraph for paragraph in paragraphs if _is_prose(paragraph)]
        for heading, text in _merged(paragraphs):
            mark = " ".join(re.findall(r"\w+", text.lower()))
            if mark in seen or (only_prose and size_of(text) < MIN_WORDS):
                continue
            seen.add(mark)
            yield Passage(document.source, document.title, _titled(document.title, heading, text))


def size_of(text: str) -> float:
    """Give the length of a text in words; two characters of a script without spaces count as one."""
    cjk = len(_CJK.findall(text))
    return cjk / 2 + len(_CJK.sub(" ", text).split() if cjk else text.split())


def _merged(paragraphs: Iterable[Paragraph]) -> Iterator[tuple[str, str]]:
    """Join neighbours under one heading as long as they fit."""
    heading, parts, size = "", list[str](), 0.0
    for paragraph in paragraphs:
        for piece in _fitting(paragraph.text):
            if parts and (paragraph.heading != heading or size + size_of(piece) > MAX_WORDS):
                yield heading, " ".join(parts)
                parts, size = [], 0.0
            heading = paragraph.heading
            parts.append(piece)
            size += size_of(piece)
    if parts:
        yield heading, " ".join(parts)


def _fitting(text: str) -> Iterator[str]:
    """Cut a long paragraph between sentences; a single longer sentence stays whole."""
    if size_of(text) <= MAX_WORDS:
        yield text
        return
    sentences, size = "", 0.0
    for sentence in _SENTENCE.findall(text):
        if sentences and size + size_of(sentence) > MAX_WORDS:
            yield sentences.strip()
            sentences, size = "", 0.0
        sentences += sentence
        size += size_of(sentence)
    yield sentences.strip()


def _titled(title: str, heading: str, text: str) -> str:
    """Put the names of document and section before the text: a passage is read alone."""
    names = [name for name in dict.fromkeys((title, heading)) if name]
    return f"{', '.join(names)}: {text}" if names else text


def _is_prose(paragraph: Paragraph) -> bool:
    """Tell running text from lists of links, numbers, lists of changes and legal lines."""
    words = paragraph.text.split()
    if len(words) < 5 or _BOILERPLATE.search(paragraph.text) or _CHANGES.search(paragraph.heading):
        return False
    plain = sum(_WORD.fullmatch(word) is not None for word in words)
    return plain >= 0.7 * len(words) and re.search(r"[a-z][.,:;!?)]", paragraph.text) is not None
