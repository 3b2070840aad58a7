from __future__ import annotations

from io import StringIO

import numpy as np
import pytest
from rich.console import Console

from bge_components.assembly import ModelArguments, make_encoder
from bge_components.cli.search.marks import excerpt, marked_spans
from bge_components.cli.search.meetings import met_words
from bge_components.cli.search.report import explained_report
from bge_components.retrieval import Alignment, Explanation, Hit, MatchedToken, Part
from bge_components.retrieval.words import words_of

ENCODER = make_encoder(ModelArguments(model="mini"))


def matched(*tokens: str, weight: float = 1.0) -> tuple[MatchedToken, ...]:
    return tuple(MatchedToken(token=token, query_weight=weight, passage_weight=1.0) for token in tokens)


def marked(text: str, explanation: Explanation, encoder=ENCODER) -> list[str]:
    return [text[start:stop] for start, stop in marked_spans(text, explanation, encoder, "auto")]


def test_words_are_marked_in_the_forms_that_stand_in_the_passage():
    words = Explanation(matched={"bm25": matched(*words_of("bake oven readFile"))})
    text = "Baking in ovens: baked by read_file(), not by a baker."
    assert marked(text, words) == ["Baking", "ovens", "baked", "read_file"]


def test_characters_of_scripts_without_spaces_are_marked_one_by_one_and_joined():
    words = Explanation(matched={"bm25": matched("面", "包", "面包")})
    assert marked("我喜欢面包和面条", words) == ["面包", "面"]


def test_words_that_weigh_next_to_nothing_are_not_marked():
    both = (*matched("oven", weight=5.0), *matched("the", weight=0.1))
    assert marked("the oven", Explanation(matched={"bm25": both})) == ["oven"]


def test_pieces_of_the_sparse_channel_are_marked_where_they_stand(tiny_m3):
    encoder = make_encoder(ModelArguments(model=str(tiny_m3)))
    text = "the river swims"
    with encoder.pool.lease(encoder.source) as lease:
        ((ids, spans),) = lease.tokenizer.encode_spans([text])
        names = lease.tokenizer.tokens_of(ids.tolist())
    name, (start, stop) = names[1], spans[1].tolist()
    assert marked(text, Explanation(matched={"sparse": matched(name)}), encoder)[0].startswith(
        text[start:stop]
    )


def test_an_excerpt_is_the_part_with_most_marks():
    text = "far " * 50 + "the oven bakes bread " + "off " * 50
    place = text.index("oven")
    shown, spans = excerpt(text, [(place, place + 4), (place + 5, place + 10)], 60)
    assert [shown[start:stop] for start, stop in spans] == ["oven", "bakes"]
    assert shown.startswith("… far")
    assert shown.endswith(" …")
    assert len(shown) <= 64
    assert excerpt("short", [(0, 5)], 60) == ("short", [(0, 5)])


def alignment(query: tuple[str, ...], passage: tuple[str, ...], *near: tuple[int, int, float]) -> Alignment:
    cosines = np.zeros((len(query), len(passage)), np.float32)
    for row, column, cosine in near:
        cosines[row, column] = cosine
    return Alignment(query_tokens=query, passage_tokens=passage, cosines=cosines)


def test_words_that_met_are_put_together_from_word_pieces():
    one = alignment(("ba", "##ke", "?", "[SEP]"), ("a", "lo", "##af", ".", "[SEP]"), (1, 2, 0.5), (3, 4, 0.9))
    assert met_words(one) == [("bake", "loaf", pytest.approx(0.5))]


def test_words_that_met_are_put_together_from_sentence_pieces():
    one = alignment(
        ("▁Ba", "ke", "▁bread", "</s>"), ("▁lo", "af", ",", "▁oven", "</s>"), (0, 1, 0.5), (2, 3, 0.7)
    )
    assert [pair[:2] for pair in met_words(one)] == [("bread", "oven"), ("Bake", "loaf")]


def hit(name: str, *, passage: str, **scores: float) -> Hit:
    parts = {channel: Part(score=score, rank=1) for channel, score in scores.items()}
    return Hit(
        id=name, score=1, text=passage, metadata={}, passage=passage, window=None, parts=parts, fused=0.5
    )


def drawn(*hits: Hit, coloured: bool) -> str:
    console = Console(
        file=StringIO(), width=100, force_terminal=coloured, color_system="standard", markup=False
    )
    console.print(explained_report("q", hits, [[(4, 8)] for _ in hits], coloured=coloured))
    return console.file.getvalue()


def test_bars_are_shares_of_the_best_that_is_shown():
    one = hit("a", passage="the oven", dense=0.8, bm25=4.0)
    other = hit("b", passage="the loaf", dense=0.4, bm25=-1.0)
    lines = [line.split() for line in drawn(one, other, coloured=False).splitlines() if "rank" in line]
    assert [(line[0], line[1].count("█"), line[2]) for line in lines] == [
        ("dense", 30, "0.800"),
        ("bm25", 30, "4.000"),
        ("dense", 15, "0.400"),
        ("bm25", 0, "-1.000"),
    ]


def test_marks_are_colours_on_a_terminal_and_brackets_in_a_pipe():
    one = hit("a", passage="the oven", dense=0.8)
    assert "the [oven]" in drawn(one, coloured=False)
    terminal = drawn(one, coloured=True)
    assert "[oven]" not in terminal
    assert "\x1b[1;33moven" in terminal
