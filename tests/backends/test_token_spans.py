"""Where in a text each token stands, on the tokenisers of every kind of checkpoint."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bge_components.backends.fake_tokenizer import FakeTokenizer
from bge_components.backends.tokenizer import FastTokenizer
from bge_components.contracts import TextTokenizer
from support import shared
from support.corpus import mixed

FOLDERS = ["tiny_bert", "tiny_m3", "tiny_roberta", "tiny_modernbert"]
REAL = ["bert-base-uncased", "bert-base-chinese", "xlm-roberta"]
ODD = [
    "",
    " ",
    "\n\n",
    "  two  spaces ",
    "e\u0301 👩‍👩‍👧 ﷺ½",
    "İstanbul ΣΑΣ İİ x",
    "हिन्दी में",
    "a [SEP] b </s>",
    "\0x",
]
TEXTS = [*ODD, *mixed(60)]


@pytest.fixture(params=[*FOLDERS, *REAL, "fake"])
def tokenizer(request: pytest.FixtureRequest) -> TextTokenizer:
    if request.param == "fake":
        return FakeTokenizer()
    if request.param in FOLDERS:
        return FastTokenizer.read(request.getfixturevalue(request.param))
    return shared.real_tokenizer(request.param)


def test_the_ids_are_those_of_encode_and_each_has_a_span(tokenizer: TextTokenizer) -> None:
    rows, _ = tokenizer.encode(TEXTS, 1_000_000)
    for row, (ids, spans) in zip(rows, tokenizer.encode_spans(TEXTS), strict=True):
        assert ids.tolist() == row.tolist()
        assert spans.shape == (len(ids), 2)
        assert ids.dtype == spans.dtype == np.int32


def test_spans_ascend_and_lie_in_the_text_and_special_tokens_outside(tokenizer: TextTokenizer) -> None:
    overhead = len(tokenizer.encode_spans([""])[0][0])
    for text, (_, spans) in zip(TEXTS, tokenizer.encode_spans(TEXTS), strict=True):
        assert (np.diff(spans, axis=0) >= 0).all()
        assert (spans[:, 0] <= spans[:, 1]).all()
        inside = spans[1:-1]
        assert (inside >= 0).all()
        assert (inside <= len(text)).all()
        assert overhead == 2
        assert spans[0].tolist() == [-1, -1]
        assert spans[-1].tolist() == [len(text), len(text)]


def test_every_letter_belongs_to_a_token(tokenizer: TextTokenizer) -> None:
    for text in mixed(60):
        ((_, spans),) = tokenizer.encode_spans([text])
        covered = np.zeros(len(text), dtype=bool)
        for start, stop in spans[1:-1].tolist():
            covered[start:stop] = True
        missing = {text[place] for place in np.flatnonzero(~covered)}
        assert not any(character.isalnum() for character in missing), missing


def test_a_token_begins_behind_the_white_space_before_it(tokenizer: TextTokenizer) -> None:
    text = "one  two\n three"
    ((_, spans),) = tokenizer.encode_spans([text])
    starts = {start for start, stop in spans[1:-1].tolist() if start < stop}
    assert {0, 5, 10} <= starts
    assert not any(text[start].isspace() for start in starts)


def test_spans_are_of_the_text_as_it_was_before_it_was_normalised(tiny_bert: Path) -> None:
    text = "Café\u0007 NAÏVE"
    ((_, spans),) = FastTokenizer.read(tiny_bert).encode_spans([text])
    inside = spans[1:-1]
    assert text[inside[0, 0] : inside[0, 0] + 1] == "C"
    assert inside[-1].tolist() == [len(text) - 1, len(text)]
    assert 6 in inside[:, 0].tolist()


def test_an_empty_list_gives_no_spans(tokenizer: TextTokenizer) -> None:
    assert tokenizer.encode_spans([]) == []
