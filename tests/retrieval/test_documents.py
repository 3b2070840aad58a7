"""What may be put into an index, and what is said of the rest."""

from datetime import date

import numpy as np
import pytest

from bge_components.errors import InputError, InputTypeError
from bge_components.retrieval.documents import Document, checked_documents, checked_ids, digest_of


def checked(*documents):
    return list(checked_documents(documents))


def test_a_string_is_a_document_with_an_id_of_its_own():
    first, second = checked("same", "same")
    assert first.text == "same"
    assert first.metadata == {}
    assert first.id != second.id


def test_metadata_is_copied_and_keeps_its_values():
    given = {"a": 1, "b": [1.5, None, True, {"c": "x"}], "": "empty name"}
    (document,) = checked(Document(text="t", metadata=given))
    assert document.metadata == given
    given["b"].append(2)
    assert document.metadata["b"] == [1.5, None, True, {"c": "x"}]


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (date(2026, 1, 1), "isoformat"),
        (np.float32(1), "item"),
        ({1, 2}, "set"),
        (b"x", "bytes"),
        (float("nan"), "nan"),
        (2**63, "64 bits"),
        ({1: "x"}, "keys are strings"),
        ({"deep": {"x": [object()]}}, r"metadata\['field'\]\['deep'\]\['x'\]\[0\]"),
    ],
)
def test_metadata_that_is_no_json_is_refused_with_its_place(value, told):
    with pytest.raises(InputTypeError, match=told):
        checked("fine", Document(text="t", metadata={"field": value}))


def test_metadata_that_refers_to_itself_is_refused():
    loop = {}
    loop["again"] = loop
    with pytest.raises(InputTypeError, match="refers to itself"):
        checked(Document(text="t", metadata=loop))


@pytest.mark.parametrize("one", [None, 3, b"bytes", ("id", "text"), {"text": "x"}])
def test_what_is_no_document_is_refused_with_its_place(one):
    with pytest.raises(InputTypeError, match=r"documents\[1\]"):
        checked("fine", one)


@pytest.mark.parametrize("all_of_them", ["one string", b"bytes", {"text": "x"}, None, 3])
def test_what_is_no_list_of_documents_is_refused(all_of_them):
    with pytest.raises(InputTypeError, match="list"):
        checked_documents(all_of_them)


def test_ids_may_hold_any_character_but_must_hold_one():
    odd = "a/b\\c\0\n\"'é漢\U0001f600"
    assert checked(Document(id=odd, text="t"))[0].id == odd
    assert checked(Document(id="x", text="\ud800"))[0].text == "\ufffd"
    with pytest.raises(InputError, match="UTF-16"):
        checked(Document(id="\ud800", text="t"))
    with pytest.raises(InputError, match="empty"):
        checked(Document(id="", text="t"))
    with pytest.raises(InputTypeError, match=r"documents\[0\].id"):
        checked(Document(id=7, text="t"))


def test_documents_are_looked_at_one_by_one():
    seen = []

    def endless():
        while True:
            seen.append(1)
            yield "text"

    next(checked_documents(endless()))
    assert len(seen) == 1


def test_the_digest_follows_text_and_metadata_only():
    same = [checked(Document(text="t", metadata={"a": 1, "b": 2}))[0].digest for _ in range(2)]
    assert len({*same, digest_of("t", {"b": 2, "a": 1})}) == 1
    others = [digest_of("t", {"a": 1}), digest_of("u", {"a": 1, "b": 2}), digest_of("t", {"a": 1, "b": "2"})]
    assert len({same[0], *others}) == 4


def test_a_single_id_is_refused():
    with pytest.raises(InputTypeError, match="wrap it"):
        checked_ids("id")
