from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bge_components.errors import InputError, InputTypeError
from bge_components.texts import checked_pairs, checked_text, checked_texts, checked_top_n


@pytest.mark.parametrize("text", ["", " \t\n", "\x00", "a\x00b", "北京 café 😀", "a" * 1_000_000, "\ufffe"])
def test_every_real_string_passes_unchanged(text: str) -> None:
    assert checked_texts([text]) == [text]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a\ud800b", "a\ufffdb"),
        ("\udc00", "\ufffd"),
        ("end\ud83d", "end\ufffd"),
        ("\ude00\ud83d", "\ufffd\ufffd"),
        ("\ud83d\ude00", "😀"),
    ],
)
def test_a_lone_surrogate_becomes_the_replacement_character(text: str, expected: str) -> None:
    checked = checked_text(text)

    assert checked == expected
    assert checked.encode("utf-8").decode("utf-8") == expected


def test_a_subclass_of_str_becomes_a_plain_string() -> None:
    assert type(checked_text(np.str_("word"))) is str


def test_any_iterable_of_strings_is_taken_in_order() -> None:
    assert checked_texts(word for word in ("b", "a", "b")) == ["b", "a", "b"]
    assert checked_texts(("b", "a")) == ["b", "a"]
    assert checked_texts([]) == []


def test_the_callers_list_is_not_the_result() -> None:
    texts = ["a"]

    assert checked_texts(texts) is not texts


@pytest.mark.parametrize("texts", ["one text", b"one text"])
def test_a_single_string_is_refused_with_the_remedy(texts: Any) -> None:
    with pytest.raises(InputTypeError, match="wrap it in a list"):
        checked_texts(texts)


@pytest.mark.parametrize("texts", [None, 3, 1.5, ...])
def test_what_is_no_iterable_is_refused(texts: Any) -> None:
    with pytest.raises(
        InputTypeError, match=f"documents must be a list of strings, got {type(texts).__name__}"
    ):
        checked_texts(texts, "documents")


@pytest.mark.parametrize("item", [None, 3, 2.5, b"bytes", ["nested"], {"a": 1}, float("nan")])
def test_an_item_that_is_no_string_is_refused_by_place_and_type(item: Any) -> None:
    with pytest.raises(InputTypeError, match=rf"texts\[2\] must be a string, got {type(item).__name__}"):
        checked_texts(["fine", "", item, None])


def test_a_refusal_does_not_repeat_the_text() -> None:
    with pytest.raises(InputTypeError) as caught:
        checked_texts(["public", b"secret words"])

    assert "secret" not in str(caught.value)


def test_a_refusal_is_a_value_error_and_a_type_error() -> None:
    with pytest.raises(ValueError):
        checked_text(None)
    with pytest.raises(TypeError):
        checked_text(None)


def test_pairs_may_be_tuples_or_lists_and_become_tuples() -> None:
    assert checked_pairs([("q", "a"), ["q", "\ud800"]]) == [("q", "a"), ("q", "\ufffd")]
    assert checked_pairs([]) == []


@pytest.mark.parametrize("pair", ["ab", b"ab", ("q",), ("q", "a", "b"), None, {"q": "a", "r": "b"}])
def test_what_is_no_pair_is_refused_by_place(pair: Any) -> None:
    with pytest.raises(InputTypeError, match=r"pairs\[1\] must be a \(query, text\) tuple"):
        checked_pairs([("q", "a"), pair])


@pytest.mark.parametrize(("pair", "side"), [((None, "a"), 0), (("q", 3), 1)])
def test_a_side_that_is_no_string_is_refused_by_place(pair: Any, side: int) -> None:
    with pytest.raises(InputTypeError, match=rf"pairs\[0\]\[{side}\] must be a string"):
        checked_pairs([pair])


@pytest.mark.parametrize("pairs", [None, 3, "ab", b"ab"])
def test_pairs_that_are_no_list_are_refused(pairs: Any) -> None:
    with pytest.raises(InputTypeError, match="pairs must be a list"):
        checked_pairs(pairs)


@pytest.mark.parametrize("top_n", [None, 0, 1, 10_000])
def test_top_n_is_none_or_a_number_from_zero(top_n: int | None) -> None:
    assert checked_top_n(top_n) == top_n


def test_a_negative_top_n_is_refused() -> None:
    with pytest.raises(InputError, match="got -1"):
        checked_top_n(-1)


@pytest.mark.parametrize("top_n", [True, 2.0, "3"])
def test_a_top_n_that_is_no_integer_is_refused(top_n: Any) -> None:
    with pytest.raises(InputTypeError, match=f"got {type(top_n).__name__}"):
        checked_top_n(top_n)
