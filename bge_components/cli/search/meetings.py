"""Which words of a question met which words of a passage in late interaction, put together from their tokens."""

from __future__ import annotations

import re
import string
from collections.abc import Sequence

from ...retrieval import Alignment

_SPACE = "▁"
_INSIDE = "##"
_SPECIAL = re.compile(r"\[[A-Z]+\]|<[^<>]+>")
_UNSPACED = re.compile(r"[\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff]")
_LEAST_LETTERS = 3


def met_words(alignment: Alignment) -> list[tuple[str, str, float]]:
    """Give each word of the question with the nearest word of the passage, the nearest pairs first.

    Two words are as near as the nearest of their tokens. Punctuation, special tokens, and words of one or two letters
    are left out.
    """
    asked, read = _words(alignment.query_tokens), _words(alignment.passage_tokens)
    if not read:
        return []
    pairs = []
    for word, places in asked:
        nearness = [float(alignment.cosines[places][:, others].max()) for _, others in read]
        best = max(range(len(read)), key=nearness.__getitem__)
        pairs.append((word, read[best][0], nearness[best]))
    return sorted(dict.fromkeys(pairs), key=lambda pair: -pair[2])


def _words(tokens: Sequence[str]) -> list[tuple[str, list[int]]]:
    """Give words with the places of their tokens."""
    spaced = any(token.startswith(_SPACE) for token in tokens)
    words: list[tuple[str, list[int]]] = []
    for place, token in enumerate(tokens):
        piece = token.removeprefix(_INSIDE).removeprefix(_SPACE)
        if words and _continues(token, spaced=spaced):
            words[-1] = (words[-1][0] + piece, [*words[-1][1], place])
        else:
            words.append((piece, [place]))
    bare = [
        (word.strip(string.punctuation), places) for word, places in words if not _SPECIAL.fullmatch(word)
    ]
    return [(word, places) for word, places in bare if _says_something(word)]


def _continues(token: str, *, spaced: bool) -> bool:
    """Tell whether a token goes on with the word before it; `spaced`: words begin with a mark for white space."""
    if _UNSPACED.match(token) or _SPECIAL.fullmatch(token):
        return False
    return not token.startswith(_SPACE) if spaced else token.startswith(_INSIDE)


def _says_something(word: str) -> bool:
    return len(word) >= _LEAST_LETTERS or _UNSPACED.search(word) is not None
