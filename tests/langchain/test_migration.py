from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

from bge_components.errors import InputError
from bge_components.langchain import BGECrossEncoder, BGEEmbeddings, MigrationWarning

TABLE: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"model_kwargs": {"device": "cpu"}}, {"device": "cpu"}),
    ({"model_kwargs": {"trust_remote_code": True}}, {"trust_remote_code": True}),
    ({"model_kwargs": {"revision": "abc"}}, {"revision": "abc"}),
    ({"model_kwargs": {"local_files_only": True}}, {"local_files_only": True}),
    ({"model_kwargs": {"cache_folder": "models"}}, {"cache_folder": "models"}),
    ({"model_kwargs": {"torch_dtype": "float16"}}, {"dtype": "float16"}),
    ({"model_kwargs": {"model_kwargs": {"dtype": "bfloat16"}}}, {"dtype": "bfloat16"}),
    ({"model_kwargs": {"model_kwargs": {"attn_implementation": "sdpa"}}}, {}),
    ({"model_kwargs": {"truncate_dim": 64}}, {"dimensions": 64}),
    ({"model_kwargs": {"backend": "torch", "device": None}}, {"device": None}),
    ({"model_kwargs": {"prompts": {"q": "find: "}, "default_prompt_name": "q"}},
     {"query_instruction": "find: ", "document_instruction": "find: "}),
    ({"model_kwargs": {"prompts": {"q": "find: "}}, "query_encode_kwargs": {"prompt_name": "q"}},
     {"query_instruction": "find: ", "document_instruction": None}),
    ({"encode_kwargs": {"normalize_embeddings": True}}, {"normalize": True}),
    ({"encode_kwargs": {"normalize_embeddings": False}}, {"normalize": None}),
    ({"encode_kwargs": {"batch_size": 8, "convert_to_numpy": True, "precision": "float32"}}, {}),
    ({"encode_kwargs": {"show_progress_bar": True}}, {"show_progress": True}),
    ({"encode_kwargs": {"prompt": "passage: "}},
     {"document_instruction": "passage: ", "query_instruction": "passage: "}),
    ({"encode_kwargs": {"prompt": "passage: "}, "query_encode_kwargs": {"prompt": "query: "}},
     {"document_instruction": "passage: ", "query_instruction": "query: "}),
    ({"encode_kwargs": {"prompt_name": "passage"}, "query_encode_kwargs": {"prompt_name": "query"}},
     {"document_instruction": None, "query_instruction": None}),
    ({"embed_instruction": "", "query_instruction": "ask: "},
     {"document_instruction": "", "query_instruction": "ask: "}),
    ({"embed_instruction": "read: "}, {"document_instruction": "read: ", "query_instruction": None}),
    ({"multi_process": True, "model_kwargs": {}}, {}),
    ({"cache_folder": "models", "encode_kwargs": {}, "show_progress": True},
     {"cache_folder": "models", "show_progress": True}),
]  # fmt: skip

REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"model_kwargs": {"token": "hf_secret"}}, r"model_kwargs\['token'\].*HF_TOKEN"),
    ({"model_kwargs": {"use_auth_token": "hf_secret"}}, r"use_auth_token.*HF_TOKEN"),
    ({"model_kwargs": {"backend": "onnx"}}, r"backend.*only torch"),
    ({"model_kwargs": {"file_name": "model.onnx"}}, r"file_name.*ONNX"),
    ({"model_kwargs": {"divice": "cpu"}}, r"divice.*device"),
    ({"model_kwargs": {"model_kwargs": {"device_map": "auto"}}}, r"device_map"),
    ({"model_kwargs": {"dtype": "float8"}}, r"dtype"),
    ({"model_kwargs": {"batch_size": 3}}, r"model_kwargs\['batch_size'\]"),
    ({"encode_kwargs": {"precision": "int8"}}, r"precision.*Encoder"),
    ({"encode_kwargs": {"output_value": "token_embeddings"}}, r"output_value.*Encoder"),
    ({"encode_kwargs": {"normalise": True}}, r"normalise.*normalize_embeddings"),
    ({"encode_kwargs": {"prompt_name": "code"}}, r"'code'.*document_instruction"),
    ({"encode_kwargs": {"prompt_name": "query"}}, r"'query' for a document"),
    ({"query_encode_kwargs": {"prompt_name": "passage"}}, r"'passage' for a query.*query_instruction"),
    ({"encode_kwargs": {"normalize_embeddings": True}, "query_encode_kwargs": {"normalize_embeddings": False}},
     "one setting holds for both"),
    ({"model_kwargs": {"device": "cpu"}, "device": "cuda"}, r"model_kwargs\['device'\].*contradict"),
    ({"embed_instruction": "a", "document_instruction": "b"}, "embed_instruction.*contradict"),
    ({"model_kwargs": "cpu"}, "model_kwargs must be a dictionary, got str"),
    ({"encode_kwargs": {}, "client": ...}, "client"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new"), TABLE, ids=str)
def test_old_arguments_mean_the_same_here(old: dict[str, Any], new: dict[str, Any]) -> None:
    with pytest.warns(MigrationWarning) as heard:
        made = BGEEmbeddings(model_name="mini", **old)

    assert made == BGEEmbeddings(model="mini", **new)
    assert len(heard) == 1
    assert heard[0].filename == __file__


@pytest.mark.parametrize(("old", "said"), REFUSED, ids=lambda value: str(value)[:60])
@pytest.mark.filterwarnings("ignore::bge_components.langchain.MigrationWarning")
def test_what_makes_no_sense_here_is_refused_by_name(old: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said) as refused:
        BGEEmbeddings(model="mini", **old)

    assert "hf_secret" not in str(refused.value)


def test_a_torch_dtype_may_be_an_object() -> None:
    torch = pytest.importorskip("torch")

    with pytest.warns(MigrationWarning):
        assert BGEEmbeddings(model="mini", model_kwargs={"torch_dtype": torch.bfloat16}).dtype == "bfloat16"


def test_a_dictionary_of_the_callers_is_not_changed() -> None:
    model_kwargs, encode_kwargs = {"device": "cpu"}, {"batch_size": 4}

    with pytest.warns(MigrationWarning):
        BGEEmbeddings(model="mini", model_kwargs=model_kwargs, encode_kwargs=encode_kwargs)

    assert (model_kwargs, encode_kwargs) == ({"device": "cpu"}, {"batch_size": 4})


@pytest.mark.parametrize(
    ("old", "said", "unsaid"),
    [
        (
            {"encode_kwargs": {}},
            ["line breaks", "'Represent this sentence", "BAAI/bge-m3", "float32"],
            ["batch_size"],
        ),
        ({"encode_kwargs": {"batch_size": 4}}, ["batch_size has no effect (the pool batches by tokens)"], []),
        ({"embed_instruction": "", "query_instruction": "q: "}, ["line breaks"], ["Represent this"]),
        ({"encode_kwargs": {"normalize_embeddings": True}}, [], ["normalised where"]),
        ({"model_kwargs": {"torch_dtype": "float32"}}, [], ["number format"]),
        ({"model_kwargs": {"truncate_dim": 8}}, ["shortened vectors"], []),
        ({"multi_process": True}, ["multi_process has no effect"], []),
        ({"multi_process": False}, [], ["multi_process has no effect"]),
        ({"model": "mini", "encode_kwargs": {}}, [], ["BAAI/bge-m3,"]),
    ],
    ids=str,
)
def test_the_warning_says_what_changes_and_no_more(
    old: dict[str, Any], said: list[str], unsaid: list[str]
) -> None:
    with pytest.warns(MigrationWarning) as heard:
        BGEEmbeddings(**old)

    message = str(heard[0].message)
    assert all(part in message for part in said), message
    assert not any(part in message for part in unsaid), message


def test_our_own_words_need_no_warning() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        BGEEmbeddings(model_name="mini", query_instruction="q: ", show_progress=False, cache_folder="models")


def test_a_cross_encoder_takes_the_old_arguments_too() -> None:
    old = {"device": "cpu", "max_length": 128, "model_kwargs": {"torch_dtype": "float32"}}

    with pytest.warns(MigrationWarning, match="translated"):
        made = BGECrossEncoder(model_name="mini", model_kwargs=old)

    assert made == BGECrossEncoder(model="mini", device="cpu", max_tokens=128, dtype="float32")


def test_a_cross_encoder_refuses_what_it_cannot_translate() -> None:
    with pytest.raises(InputError, match=r"activation_fn.*max_length"):
        BGECrossEncoder(model="mini", model_kwargs={"activation_fn": None})


def test_after_the_swap_vectors_are_those_of_the_old_class_where_nothing_changes(tiny_bert: Any) -> None:
    arguments: dict[str, Any] = {
        "model_name": str(tiny_bert),
        "model_kwargs": {"device": "cpu", "torch_dtype": "float32"},
        "encode_kwargs": {"normalize_embeddings": True, "batch_size": 2},
        "query_instruction": "ask: ",
        "embed_instruction": "read: ",
    }
    texts = ["Water boils at 100 degrees.", "一百摄氏度", "", "Paris"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        community = pytest.importorskip("langchain_community.embeddings")
        old = community.HuggingFaceBgeEmbeddings(**arguments)
        documents, query = old.embed_documents(texts), old.embed_query("water")

        new = BGEEmbeddings(**arguments)

    assert np.allclose(new.embed_documents(texts), documents, atol=1e-5)
    assert np.allclose(new.embed_query("water"), query, atol=1e-5)
