from __future__ import annotations

import warnings
from pathlib import Path

import pytest

from bge_components.errors import InputError
from bge_components.llama_index import BGEEmbedding, BGEReranker, SwapWarning


def test_the_names_of_hugging_face_embedding_are_understood_without_a_word() -> None:
    swapped = BGEEmbedding(
        model_name="BAAI/bge-base-en-v1.5",
        max_length=256,
        query_instruction="find: ",
        text_instruction="keep: ",
        normalize=False,
        embed_batch_size=32,
        cache_folder=Path("models"),
        trust_remote_code=False,
        device="cpu",
        callback_manager=None,
        parallel_process=False,
        target_devices=None,
        show_progress_bar=True,
        pooling="deprecated",
        tokenizer="deprecated",
        model="deprecated",
    )

    assert swapped == BGEEmbedding(
        "BAAI/bge-base-en-v1.5",
        max_tokens=256,
        query_instruction="find: ",
        document_instruction="keep: ",
        normalize=False,
        embed_batch_size=32,
        cache_folder="models",
        device="cpu",
        show_progress=True,
    )


def test_model_and_model_name_are_the_same_in_both_components() -> None:
    assert BGEEmbedding(model="mini") == BGEEmbedding(model_name="mini") == BGEEmbedding("mini")
    assert BGEReranker(model="mini") == BGEReranker(model_name="mini") == BGEReranker("mini")


def test_a_number_format_hidden_in_model_kwargs_is_found() -> None:
    import torch

    assert BGEEmbedding(model_kwargs={"torch_dtype": torch.bfloat16}).dtype == "bfloat16"
    assert BGEEmbedding(model_kwargs={"dtype": "float32"}).dtype == "float32"


def test_the_names_of_sentence_transformer_rerank_are_understood_without_a_word() -> None:
    swapped = BGEReranker(
        model="BAAI/bge-reranker-base",
        top_n=2,
        device="cpu",
        keep_retrieval_score=True,
        cache_folder=None,
        cross_encoder_kwargs={"max_length": 384, "model_kwargs": {"torch_dtype": "float16"}},
    )

    assert swapped == BGEReranker(
        "BAAI/bge-reranker-base",
        top_n=2,
        device="cpu",
        keep_retrieval_score=True,
        max_tokens=384,
        dtype="float16",
    )


@pytest.mark.parametrize(("use_fp16", "dtype"), [(True, "auto"), (False, "float32")])
def test_use_fp16_becomes_a_number_format_and_the_other_scale_is_told(use_fp16: bool, dtype: str) -> None:
    with pytest.warns(SwapWarning, match=r"scores=\"raw\".*top_n=2") as told:
        reranker = BGEReranker(model="BAAI/bge-reranker-large", use_fp16=use_fp16)

    assert reranker.dtype == dtype
    assert reranker.top_n == 3
    assert told[0].filename == __file__


def test_what_was_said_outright_is_not_told_again() -> None:
    with pytest.warns(SwapWarning) as told:
        BGEReranker(use_fp16=True, scores="raw", top_n=2)

    assert "scores" not in str(told[0].message)
    assert "top_n" not in str(told[0].message)


@pytest.mark.parametrize("given", [{"parallel_process": True}, {"target_devices": ["cuda:0"]}])
def test_what_has_no_effect_here_is_told(given: dict[str, object]) -> None:
    with pytest.warns(SwapWarning, match="no effect.*PoolSettings") as told:
        BGEEmbedding(**given)

    assert told[0].filename == __file__


@pytest.mark.parametrize(
    ("component", "given", "message"),
    [
        (BGEEmbedding, {"pooling": "max"}, "pooling"),
        (BGEEmbedding, {"tokenizer_name": "bert"}, "checkpoint's own"),
        (BGEEmbedding, {"token": "secret"}, "HF_TOKEN"),
        (BGEEmbedding, {"prompts": {"query": "q"}}, "query_instruction"),
        (BGEEmbedding, {"model_kwargs": {"attn_implementation": "eager"}}, "attn_implementation"),
        (BGEEmbedding, {"model_kwargs": {"dtype": "int4"}}, "dtype must be"),
        (BGEEmbedding, {"max_length": 10, "max_tokens": 20}, "the same thing"),
        (BGEEmbedding, {"model_name": "mini", "model": "BAAI/bge-m3"}, "the same thing"),
        (BGEReranker, {"use_fp16": False, "dtype": "bfloat16"}, "the same thing"),
        (BGEReranker, {"cross_encoder_kwargs": {"num_labels": 2}}, "num_labels"),
        (BGEReranker, {"top_k": 3}, "did you mean 'top_n'"),
        (BGEEmbedding, {"quary_instruction": "x"}, "did you mean 'query_instruction'"),
        (BGEEmbedding, {"zzz": 1}, "it takes"),
    ],
)
def test_what_makes_no_sense_is_refused_with_what_to_do(
    component: type, given: dict[str, object], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        component(**given)


def test_a_secret_token_is_not_repeated_in_the_message() -> None:
    with pytest.raises(InputError) as refused:
        BGEEmbedding(token="hf_abc123")

    assert "hf_abc123" not in str(refused.value)


def test_a_component_written_in_its_own_words_is_silent() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        BGEEmbedding("mini", max_tokens=64, document_instruction="", show_progress=False)
        BGEReranker("mini", top_n=None, keep_retrieval_score=True)
