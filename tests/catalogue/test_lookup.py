from __future__ import annotations

import pytest

from bge_components.catalogue import NOT_RUN, all_checkpoints, find, reason_not_run, suggestions


def test_a_full_name_and_a_base_name_find_the_same_entry():
    for entry in all_checkpoints():
        assert find(entry.name) is entry
        assert find(entry.base_name) is entry


@pytest.mark.parametrize(
    "name", ["", "BAAI", "BAAI/", "bge", "BAAI/bge-M3", "other/bge-m3", "bge-m3/", " bge-m3"]
)
def test_other_names_find_nothing(name):
    assert find(name) is None


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("BAAI/bge-M3", "BAAI/bge-m3"),
        ("baai/bge-m3", "BAAI/bge-m3"),
        ("bge-m4", "BAAI/bge-m3"),
        ("BAAI/bge-small-en-1.5", "BAAI/bge-small-en-v1.5"),
        ("BAAI/bge-reranker-v2m3", "BAAI/bge-reranker-v2-m3"),
        ("BGE-Large-zh-v1.5", "BAAI/bge-large-zh-v1.5"),
        ("maidalun/bce-embedding-base_v1", "maidalun1020/bce-embedding-base_v1"),
        ("intfloat/e5-base_v2", "intfloat/e5-base-v2"),
    ],
)
def test_the_nearest_name_is_suggested_first(wrong, right):
    assert suggestions(wrong)[0] == right


def test_a_far_name_gets_no_suggestion():
    assert suggestions("openai/whisper-large") == []
    assert suggestions("") == []


def test_suggestions_are_few_and_distinct():
    near = suggestions("BAAI/bge-base-en-v1.4", limit=2)
    assert len(near) == len(set(near)) == 2


def test_the_names_that_are_not_run_are_not_in_the_catalogue():
    assert not NOT_RUN.keys() & {entry.name for entry in all_checkpoints()}
    with pytest.raises(TypeError):
        NOT_RUN["x"] = "y"


@pytest.mark.parametrize(
    "name",
    [
        "BAAI/bge-reranker-v2-gemma",
        "bge-reranker-v2-minicpm-layerwise",
        "baai/BGE-reranker-v2.5-gemma2-lightweight",
        "BAAI/bge-en-icl",
        "BAAI/bge-multilingual-gemma2",
        "bge-code-v1",
        "Qwen/Qwen3-Embedding-0.6B",
        "e5-mistral-7b-instruct",
        "bge-reasoner-embed-qwen3-8b-0923",
    ],
)
def test_llm_based_names_have_a_reason_in_any_spelling(name):
    assert "LLM-based" in (reason_not_run(name) or "")


def test_no_entry_has_a_reason_not_to_run():
    assert [entry.name for entry in all_checkpoints() if reason_not_run(entry.name)] == []
