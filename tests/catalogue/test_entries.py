"""Every entry is held against the real config.json where a copy lies beside the repository."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bge_components.catalogue import Family, all_checkpoints, find, inspect
from bge_components.catalogue.config_files import longest_sequence
from bge_components.contracts import Output
from support.shared import shared_path

COPIES = [
    "bge-base-en-v1.5",
    "bge-large-en-v1.5",
    "bge-large-zh-v1.5",
    "bge-large-zh-v1.5.alt",
    "bge-m3",
    "bge-m3.resaved-st5",
    "bge-reranker-base",
    "bge-reranker-base-onnx",
    "bge-reranker-v2-m3",
    "bge-small-en-v1.5",
    "bge-small-zh-v1.5",
]
EN = "Represent this sentence for searching relevant passages: "
ZH = "为这个句子生成表示以用于检索相关文章："
E5_DIMS = {"small": 384, "base": 768, "large": 1024}


def copy_of(name: str) -> Path:
    return shared_path("data", "configs", name)


def entry_of(copy: str):
    for ending in (".alt", ".resaved-st5", "-onnx"):
        copy = copy.removesuffix(ending)
    entry = find("BAAI/" + copy)
    assert entry is not None
    return entry


@pytest.mark.parametrize("copy", COPIES)
def test_an_entry_agrees_with_the_real_config(copy):
    folder, entry = copy_of(copy), entry_of(copy)
    config = json.loads((folder / "config.json").read_text())
    assert entry.architecture == config["model_type"]
    assert entry.max_tokens == longest_sequence(folder, config)
    assert entry.recommended_tokens <= entry.max_tokens
    if entry.family == Family.CROSS_ENCODER:
        assert (entry.dim, len(config["id2label"])) == (None, 1)
    else:
        assert entry.dim == config["hidden_size"]


@pytest.mark.parametrize("copy", COPIES)
def test_inspecting_the_real_files_finds_what_the_entry_says(copy):
    folder, entry = copy_of(copy), entry_of(copy)
    found = inspect(folder, copy)
    assert (found.architecture, found.dim, found.max_tokens) == (
        entry.architecture,
        entry.dim,
        entry.max_tokens,
    )
    assert (found.pooling, found.normalize) == (entry.pooling, entry.normalize)
    assert not found.trust_remote_code
    heads_on_disk = entry.outputs - {Output.SPARSE, Output.MULTI}  # the copies hold no weights
    assert found.outputs == heads_on_disk


@pytest.mark.parametrize("copy", [c for c in COPIES if "reranker" not in c and c != "bge-small-en-v1.5"])
def test_the_real_sentence_files_give_the_recommended_length(copy):
    folder, entry = copy_of(copy), entry_of(copy)
    assert inspect(folder, copy).recommended_tokens == entry.recommended_tokens


def test_positions_of_roberta_start_after_the_padding_id():
    reranker, m3 = find("BAAI/bge-reranker-base"), find("BAAI/bge-m3")
    assert reranker is not None
    assert m3 is not None
    assert (reranker.max_tokens, m3.max_tokens) == (512, 8192)


def test_the_catalogue_holds_all_bge_encoders():
    names = {entry.name for entry in all_checkpoints()}
    sizes = [f"BAAI/bge-{size}-{lang}{v}" for size in E5_DIMS for lang in ("en", "zh") for v in ("", "-v1.5")]
    others = ["bge-m3", "bge-m3-unsupervised", "bge-m3-retromae", "llm-embedder"]
    rerankers = ["bge-reranker-base", "bge-reranker-large", "bge-reranker-v2-m3"]
    assert names >= {*sizes, *(f"BAAI/{name}" for name in others + rerankers), "mini"}
    assert len(sizes) == 12
    assert len(names) == len(all_checkpoints())


@pytest.mark.parametrize("version", ["", "-v1.5"])
@pytest.mark.parametrize("size", E5_DIMS)
def test_query_instructions_are_exact_to_the_character(size, version):
    english, chinese = find(f"BAAI/bge-{size}-en{version}"), find(f"BAAI/bge-{size}-zh{version}")
    assert english is not None
    assert chinese is not None
    assert (english.query_instruction, english.document_instruction) == (EN, "")
    assert (chinese.query_instruction, chinese.document_instruction) == (ZH, "")
    assert (english.dim, english.pooling, english.max_tokens) == (E5_DIMS[size], "cls", 512)


def test_m3_has_three_heads_and_no_instruction():
    m3 = find("BAAI/bge-m3")
    assert m3 is not None
    assert m3.outputs == {Output.DENSE, Output.SPARSE, Output.MULTI}
    assert (m3.family, m3.query_instruction, m3.document_instruction) == (Family.M3, "", "")


@pytest.mark.parametrize("name", ["BAAI/bge-m3-unsupervised", "BAAI/bge-m3-retromae"])
def test_the_forerunners_of_m3_promise_the_dense_vector_only(name):
    entry = find(name)
    assert entry is not None
    assert entry.outputs == {Output.DENSE}
    assert entry.note


def test_llm_embedder_has_six_task_pairs_and_answers_questions_by_default():
    entry = find("BAAI/llm-embedder")
    assert entry is not None
    assert list(entry.tasks) == ["qa", "icl", "chat", "lrlm", "tool", "convsearch"]
    assert entry.tasks["convsearch"] == (
        "Encode this query and context for searching relevant passages: ",
        "Encode this passage for retrieval: ",
    )
    assert (entry.query_instruction, entry.document_instruction) == entry.tasks["qa"]
    assert all(one.endswith(": ") for pair in entry.tasks.values() for one in pair)


@pytest.mark.parametrize("size", E5_DIMS)
@pytest.mark.parametrize("name", ["e5-{}", "e5-{}-v2", "multilingual-e5-{}"])
def test_e5_prefixes_queries_and_passages(name, size):
    entry = find("intfloat/" + name.format(size))
    assert entry is not None
    assert (entry.query_instruction, entry.document_instruction) == ("query: ", "passage: ")
    assert (entry.pooling, entry.dim) == ("mean", E5_DIMS[size])


def test_entries_that_need_code_from_the_hub_say_so():
    assert {entry.name for entry in all_checkpoints() if entry.trust_remote_code} == {
        "Alibaba-NLP/gte-multilingual-base",
        "Alibaba-NLP/gte-base-en-v1.5",
        "Alibaba-NLP/gte-large-en-v1.5",
    }


@pytest.mark.parametrize("entry", all_checkpoints(), ids=lambda entry: entry.name)
def test_an_entry_is_consistent(entry):
    assert 0 < entry.recommended_tokens <= entry.max_tokens
    assert entry.licence != "unknown"
    assert entry.languages
    assert entry.parameters is not None
    reranker = entry.family == Family.CROSS_ENCODER
    assert reranker == (entry.dim is None) == (entry.pooling is None) == (Output.SCORE in entry.outputs)
    assert (entry.family == Family.M3) == bool(entry.outputs & {Output.SPARSE, Output.MULTI})
    assert entry.query_format.format("a", "b").startswith(("a", "Instruct: a"))
