"""The words of a text, for channels that count words: one analysis for documents and queries, without a dictionary.

What it does was chosen by measuring nDCG@10 of plain BM25, each choice with all else equal:

- Text is normalised (NFKC) and case-folded. There is no list of stop words: the inverse document frequency does that
  work (English lists moved five sets by -0.010 to +0.010, and their mean by no more than 0.001).
- A compound gives its parts and itself: "wi-fi", "read_file" and "readFile" meet "wifi", "file" and "readfile"
  (SciFact 0.695, split at every sign 0.685; CoSQA 0.393 and 0.386).
- Words are stemmed by Snowball; in language "auto" by the script of each word, so that no language is guessed
  (XQuAD, stemmed and not: en 0.967 and 0.959, ru 0.952 and 0.871, el 0.949 and 0.910, ar 0.934 and 0.885, hi 0.955
  and 0.946). Latin script is taken for English, which is better than nothing (de 0.926 and 0.915, es 0.953 and
  0.949); to name the language is better still (de 0.940, es 0.961, ro 0.966, tr 0.938).
- Chinese, Japanese and Korean give every character and every pair of neighbours. Over XQuAD-zh, CMRC 2018, DRCD and
  DuReader that is 0.913 on average (jieba's words 0.905, without its guesses 0.907, with their characters 0.911;
  qdrant-edge's multilingual tokenizer 0.903; pairs alone 0.909), on JSQuAD 0.930 (UniDic 0.926, Sudachi 0.927), on
  KorQuAD 0.948 (words between spaces 0.839). Traditional and simplified forms stay different characters.
- Thai, Lao, Burmese and Khmer put no spaces between words, and give every three characters in a row (XQuAD-th 0.973,
  pairs 0.943; the other three were not measured).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from functools import lru_cache
from importlib import import_module
from operator import add
from threading import Lock

ANALYSIS = 1
"""Number of this analysis: grows whenever a text may give other words than before, as with another Snowball."""

_SNOWBALL = (
    "arabic armenian basque catalan czech danish dutch dutch_porter english esperanto estonian finnish french german "
    "greek hindi hungarian indonesian irish italian lithuanian nepali norwegian persian polish porter portuguese "
    "romanian russian serbian sesotho spanish swedish tamil turkish yiddish"
)
LANGUAGES = ("auto", "none", *_SNOWBALL.split())
"""How words are stemmed: by the script of each word, not at all, or all by one Snowball algorithm."""

LONGEST_WORD = 255
"""Characters of a word that are read, as in Lucene: what is longer is no word but data."""

_SCRIPTS = (
    ("\u0370", "\u03ff", "greek"),
    ("\u0400", "\u052f", "russian"),
    ("\u0600", "\u06ff", "arabic"),
    ("\u0900", "\u097f", "hindi"),
    ("\u1f00", "\u1fff", "greek"),
)
_PAIRED = (
    r"\u3005-\u3007\u3041-\u3096\u309d-\u309f\u30a1-\u30fa\u30fc-\u30ff\u3105-\u312f\u31a0-\u31bf\u31f0-\u31ff"
    r"\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7a3\uf900-\ufaff\U00020000-\U000323af"
)
_UNSPACED = (
    r"\u0e01-\u0e3a\u0e40-\u0e4e\u0e81-\u0ebd\u0ec0-\u0ece\u0edc-\u0edf\u1000-\u103f\u1050-\u108f\u109a-\u109d"
    r"\u1780-\u17d3\u17dc\u17dd"
)
_MARKS = "".join(
    chr(code) for code in range(0x300, 0xFE30) if unicodedata.category(chr(code)).startswith("M")
)
_LETTER = rf"[^\W_{_PAIRED}{_UNSPACED}]"
_WORD = rf"{_LETTER}+(?:[{_MARKS}]+{_LETTER}*)*"

_tokens = re.compile(rf"{_WORD}(?:[-_\u2010]{_WORD})*|[{_PAIRED}]+|[{_UNSPACED}]+").findall
_starts_paired = re.compile(f"[{_PAIRED}]").match
_starts_unspaced = re.compile(f"[{_UNSPACED}]").match
_parts = re.compile(r"[-_\u2010]").split
_humps = re.compile("(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])").split


def words_of(text: str, language: str = "auto") -> list[str]:
    """Give the words of a text, as they are counted.

    Args:
        text: Any text without lone surrogates, in any mixture of scripts.
        language: One of `LANGUAGES`.

    Returns:
        Words, repeated as they occur: stems, characters and runs of characters, roughly in reading order.
    """
    words: list[str] = []
    for token in _tokens(unicodedata.normalize("NFKC", text).replace("\N{SOFT HYPHEN}", "")):
        if token.isascii():
            words += _of_word(token[:LONGEST_WORD], language)
        elif _starts_paired(token):
            words += _ones_and_twos(token)
        elif _starts_unspaced(token):
            words += _threes(token)
        else:
            words += _of_word(token[:LONGEST_WORD], language)
    return words


@lru_cache(maxsize=1 << 17)
def _of_word(token: str, language: str) -> tuple[str, ...]:
    parts = _parts(token)
    pieces = ["".join(parts), *parts] if len(parts) > 1 else parts
    for part in parts:
        humps = _humps(part)
        pieces += humps if len(humps) > 1 else ()
    return tuple(_stem(_folded(piece), language) for piece in pieces)


def _ones_and_twos(run: str) -> list[str]:
    return [*run, *map(add, run, run[1:])]


def _threes(run: str) -> list[str]:
    return [run[start : start + 3] for start in range(max(1, len(run) - 2))]


def _folded(word: str) -> str:
    """Fold case; the dot that folding leaves above a capital İ goes, as Turkish and others write "istanbul"."""
    return unicodedata.normalize("NFKC", word.casefold()).replace("i\N{COMBINING DOT ABOVE}", "i")


def _stem(word: str, language: str) -> str:
    if language == "none":
        return word
    return _stemmer(_language_of(word) if language == "auto" else language)(word)


def _language_of(word: str) -> str:
    last = word[-1]
    return next((language for first, end, language in _SCRIPTS if first <= last <= end), "english")


@lru_cache
def _stemmer(language: str) -> Callable[[str], str]:
    """Give a Snowball algorithm, in pure Python: the C one that may be installed beside it can be another release."""
    module = import_module(f"snowballstemmer.{language}_stemmer")
    stemmer = getattr(module, "".join(part.title() for part in language.split("_")) + "Stemmer")()
    lock = Lock()

    @lru_cache(maxsize=1 << 17)
    def stem(word: str) -> str:
        with lock:  # a stemmer keeps the word that it works on
            return str(stemmer.stemWord(word))

    return stem
