from __future__ import annotations

from bge_components.cli.demo.installed import installed_documents
from bge_components.cli.demo.passages import MAX_WORDS, Document, passages_of, size_of

PROSE = "The quick brown fox jumps over the lazy dog near the quiet river bank, every single morning."


def passages(text: str, *, only_prose: bool = False, suffix: str = ".md") -> list[str]:
    documents = [Document("src", "Title", text, suffix)]
    return [passage.text for passage in passages_of(documents, only_prose=only_prose)]


def test_neighbours_under_one_heading_are_merged_up_to_the_length():
    paragraphs = [f"{PROSE} Number {number}." for number in range(12)]
    merged = passages("\n\n".join(paragraphs))
    assert 1 < len(merged) < 12
    assert all(size_of(text) <= MAX_WORDS + 2 for text in merged)
    assert " ".join(text.removeprefix("Title: ") for text in merged) == " ".join(paragraphs)


def test_a_heading_starts_a_new_passage_and_stands_before_it():
    assert passages("# A\n\nOne.\n\n# B\n\nTwo.") == ["Title, A: One.", "Title, B: Two."]


def test_a_long_paragraph_is_cut_between_sentences():
    sentences = [f"{number}: {PROSE}" for number in range(20)]
    pieces = passages(" ".join(sentences))
    assert len(pieces) > 2
    assert all(piece.endswith("morning.") for piece in pieces)
    assert " ".join(piece.removeprefix("Title: ") for piece in pieces) == " ".join(sentences)


def test_a_sentence_without_end_stays_whole():
    assert len(passages("word " * 500)) == 1


def test_chinese_text_is_measured_and_cut_although_it_has_no_spaces():
    text = "".join(f"检索系统先召回第{number}组候选段落，再由重排模型逐一阅读。" for number in range(60))
    pieces = passages(text)
    assert len(pieces) > 2
    assert "".join(piece.removeprefix("Title: ") for piece in pieces) == text
    assert all(size_of(piece) <= MAX_WORDS + 2 for piece in pieces)


def test_the_same_text_comes_once():
    documents = [Document("a", "A", PROSE), Document("b", "B", PROSE.upper())]
    assert [passage.source for passage in passages_of(documents)] == ["a"]


def test_prose_alone_is_kept_where_only_prose_is_wanted():
    text = (
        f"{PROSE}\n\nCopyright 2020 Somebody, all rights reserved by the owner of this text, as everybody knows."
        "\n\n1 2 3 4 5 6 7 8 9 10 11 12 13 14\n\n# 1.2.3 (2020-01-01)\n\n" + PROSE.replace("fox", "hare")
    )
    assert passages(text, only_prose=True) == [f"Title: {PROSE}"]
    assert len(passages(text)) > 1


def test_the_packages_installed_here_give_hundreds_of_passages_and_none_of_their_own_project():
    found = list(passages_of(installed_documents(), only_prose=True))
    sources = {passage.source for passage in found}
    assert {"numpy", "torch", "rich", "typer"} <= sources
    assert "bge-components" not in sources
    assert len(found) > 500
    assert len({passage.text for passage in found}) == len(found)
