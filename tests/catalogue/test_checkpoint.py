from __future__ import annotations

import pickle
from dataclasses import FrozenInstanceError, replace

import pytest

from bge_components.catalogue import Checkpoint, Family, all_checkpoints, find

SMALL = find("BAAI/bge-small-en-v1.5")
assert SMALL is not None
INSTRUCTION = "Represent this sentence for searching relevant passages: "


def test_a_query_gets_the_instruction_and_a_document_none():
    assert SMALL.prompted("who?", "query") == INSTRUCTION + "who?"
    assert SMALL.prompted("me", "document") == "me"


def test_an_empty_instruction_gives_the_bare_text():
    assert SMALL.prompted("who?", "query", "") == "who?"
    instruct = replace(SMALL, query_format="Instruct: {}\nQuery: {}")
    assert instruct.prompted("who?", "query", "") == "who?"


def test_an_instruction_of_the_callers_own_takes_the_place_of_the_default():
    assert SMALL.prompted("who?", "query", "Find: ") == "Find: who?"
    assert SMALL.prompted("me", "document", "Text: ") == "Text: me"


@pytest.mark.parametrize("text", ["{}", "{0} {name}", "{{x}}", "}{", "f'{x!r:>{width}}'", "%s {", ""])
def test_braces_in_texts_and_instructions_stay_as_they_are(text):
    assert SMALL.prompted(text, "query") == INSTRUCTION + text
    assert SMALL.prompted(text, "query", "{} {x} ") == "{} {x} " + text
    assert SMALL.prompted(text, "document") == text


def test_a_format_joins_instruction_and_text_in_its_own_way():
    instruct = find("intfloat/multilingual-e5-large-instruct")
    assert instruct is not None
    assert instruct.prompted("who?", "query") == (
        "Instruct: Given a web search query, retrieve relevant passages that answer the query\nQuery: who?"
    )
    assert instruct.prompted("who?", "query", "Find songs") == "Instruct: Find songs\nQuery: who?"
    assert instruct.prompted("me", "document") == "me"


def test_entries_are_frozen_keyword_only_hashable_and_pickle():
    with pytest.raises(FrozenInstanceError):
        SMALL.dim = 3
    with pytest.raises(TypeError):
        Checkpoint("x")
    for entry in all_checkpoints():
        assert hash(entry) == hash(pickle.loads(pickle.dumps(entry)))
        assert entry == pickle.loads(pickle.dumps(entry))


def test_a_family_prints_as_its_value():
    assert [str(family) for family in Family] == ["embedder", "m3", "cross-encoder"]
