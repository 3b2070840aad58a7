from __future__ import annotations

import json
from pathlib import Path
from statistics import mean

import pytest

from bge_components.bench.texts import Texts
from bge_components.catalogue import locate
from bge_components.errors import InputError

TOKENIZER = locate("mini") / "tokenizer.json"


@pytest.fixture(scope="module")
def texts() -> Texts:
    return Texts.read(TOKENIZER)


@pytest.fixture
def corpus(tmp_path: Path):
    def write(*lines: str) -> Path:
        (tmp_path / "corpus.jsonl").write_text("\n".join(lines), encoding="utf-8")
        return tmp_path

    return write


def test_queries_are_short(texts: Texts) -> None:
    lengths = texts.lengths(texts.queries(500))
    assert 11 <= mean(lengths) <= 13
    assert min(lengths) >= 3
    assert max(lengths) <= 33


def test_passages_are_mixed_and_few_are_long(texts: Texts) -> None:
    lengths = sorted(texts.lengths(texts.passages(500)))
    assert 75 <= mean(lengths) <= 110
    assert lengths[250] < 0.8 * mean(lengths)
    assert lengths[0] <= 12
    assert lengths[-1] >= 400
    assert lengths[-1] <= 515


@pytest.mark.parametrize("length", [512, 8192])
def test_documents_have_the_length_that_was_asked_for(texts: Texts, length: int) -> None:
    lengths = texts.lengths(texts.documents(3, length))
    assert all(abs(found - length) <= 3 for found in lengths)


def test_texts_differ_and_are_the_same_every_time(texts: Texts) -> None:
    assert len(set(texts.passages(300))) == 300
    assert Texts.read(TOKENIZER).passages(20) == texts.passages(300)[:20]


def test_lengths_count_special_tokens_and_stop_at_the_longest(texts: Texts) -> None:
    assert texts.lengths(["a bear", "a bear sees a panda"], max_tokens=5) == (4, 5)
    assert texts.pair_lengths("a bear", ["a bear"], 512) == (7,)


def test_texts_come_from_a_corpus_where_one_is_given(corpus) -> None:
    folder = corpus(*(json.dumps({"_id": str(i), "text": f"bears eat {i} honey pots"}) for i in range(50)))
    texts = Texts.read(TOKENIZER, folder)
    assert texts.queries(2)[0].startswith("bears eat 0 honey")
    assert folder.name in texts.source


def test_a_corpus_with_less_text_than_one_asks_for_says_so(corpus) -> None:
    texts = Texts.read(TOKENIZER, corpus(json.dumps({"_id": "1", "text": "three little bears"})))
    with pytest.raises(InputError, match=r"500 tokens was asked for, .* has 3 in all"):
        texts.documents(1, 502)


def test_writing_without_spaces_is_cut_too(corpus) -> None:
    texts = Texts.read(
        TOKENIZER, corpus(json.dumps({"_id": "1", "text": "的一是不了在人有我他" * 40}, ensure_ascii=False))
    )
    first, second = texts.of_lengths([12, 12])
    assert len(first) == len(second) == 10


@pytest.mark.parametrize("line", ["no json", '{"title": "no text"}', "[]"])
def test_a_broken_corpus_is_refused(corpus, line: str) -> None:
    with pytest.raises(InputError, match=r"corpus\.jsonl: expected lines"):
        Texts.read(TOKENIZER, corpus(line))


def test_a_folder_without_a_corpus_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"expected a corpus\.jsonl"):
        Texts.read(TOKENIZER, tmp_path)
