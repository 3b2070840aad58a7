"""What both components must do; `make` builds each of them on the fake backend."""

from __future__ import annotations

import copy
import json
import logging
import pickle
from typing import Any

import pytest
from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.callbacks import CallbackManager
from llama_index.core.embeddings.loading import RECOGNIZED_EMBEDDINGS, load_embed_model
from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.schema import MetadataMode
from llama_index.core.storage.kvstore import SimpleKVStore

from bge_components import ModelPool, PoolSettings
from bge_components.errors import InputError
from bge_components.llama_index import BGEEmbedding, BGEReranker

Component = BGEEmbedding | BGEReranker

FULL: dict[Any, dict[str, Any]] = {
    BGEEmbedding: {
        "model_name": "BAAI/bge-base-en-v1.5",
        "revision": "abc",
        "dtype": "float32",
        "backend": "fake",
        "family": "m3",
        "pooling": "mean",
        "query_instruction": "find: ",
        "document_instruction": "",
        "task": "qa",
        "normalize": False,
        "dimensions": 8,
        "max_tokens": 128,
        "on_truncation": "error",
    },
    BGEReranker: {
        "model": "BAAI/bge-reranker-base",
        "revision": "abc",
        "dtype": "float32",
        "backend": "fake",
        "family": "cross-encoder",
        "pooling": "cls",
        "query_instruction": "find: ",
        "max_tokens": 128,
        "on_truncation": "ignore",
        "top_n": 5,
        "score_threshold": 0.25,
        "scores": "raw",
        "metadata_mode": MetadataMode.NONE,
        "keep_retrieval_score": True,
        "query_max_tokens": 32,
        "long_passages": "max",
        "window_overlap": 8,
    },
}
OF_THE_MACHINE: dict[str, Any] = {
    "device": "cpu",
    "cache_folder": "models",
    "local_files_only": True,
    "trust_remote_code": True,
    "timeout_s": 30.0,
}
CLASSES = pytest.mark.parametrize("cls", [BGEEmbedding, BGEReranker], ids=lambda cls: cls.__name__)


def test_they_are_what_llama_index_looks_for() -> None:
    assert BaseEmbedding.__name__ in [base.__name__ for base in BGEEmbedding.__mro__]
    assert BaseNodePostprocessor.__name__ in [base.__name__ for base in BGEReranker.__mro__]
    assert BGEEmbedding.class_name() == "BGEEmbedding"
    assert BGEReranker.class_name() == "BGEReranker"


def test_the_defaults_are_m3_and_its_reranker() -> None:
    assert BGEEmbedding().model_name == "BAAI/bge-m3"
    assert BGEReranker().model == "BAAI/bge-reranker-v2-m3"
    assert BGEReranker().top_n == 3


@CLASSES
def test_every_setting_survives_to_dict_and_from_dict(cls: type[Component]) -> None:
    made = cls(**FULL[cls])

    assert cls.from_dict(made.to_dict()) == made
    assert cls.from_json(made.to_json()) == made


@CLASSES
def test_to_dict_holds_what_decides_the_result_and_nothing_of_the_machine(cls: type[Component]) -> None:
    made = cls(**FULL[cls])
    elsewhere = cls(**FULL[cls], **OF_THE_MACHINE)
    written = made.to_dict()

    assert written.pop("class_name") == cls.__name__
    assert set(written) == set(FULL[cls])
    assert str(elsewhere.to_dict()) == str(made.to_dict())
    assert json.loads(made.to_json())["class_name"] == cls.__name__


@CLASSES
def test_every_setting_survives_a_pickle_and_the_pool_does_not(cls: type[Component]) -> None:
    with ModelPool(PoolSettings(devices=("cpu",))) as pool:
        made = cls(**FULL[cls], **OF_THE_MACHINE, pool=pool)
        data = pickle.dumps(made)
        again = pickle.loads(data)

        assert again.pool is None
        assert again == cls(**FULL[cls], **OF_THE_MACHINE)
        assert len(data) < 2000
        assert made.pool is pool
        assert isinstance(made.callback_manager, CallbackManager)


@CLASSES
def test_a_pickle_leaves_callback_handlers_behind_without_harming_the_original(cls: type[Component]) -> None:
    manager = CallbackManager([])
    manager.handlers = [lambda: None]  # type: ignore[list-item]  # cannot be pickled
    made = cls(**FULL[cls], callback_manager=manager)

    assert pickle.loads(pickle.dumps(made)) == made
    assert made.callback_manager is manager


def test_a_cache_travels_with_a_pickle_where_it_can() -> None:
    store = SimpleKVStore()
    store.put("k", {"v": 1})

    again = pickle.loads(pickle.dumps(BGEEmbedding("mini", embeddings_cache=store)))

    assert again.embeddings_cache.get("k") == {"v": 1}


def test_a_cache_that_cannot_travel_stays_and_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    store = SimpleKVStore()
    store.connection = lambda: None  # type: ignore[attr-defined]
    made = BGEEmbedding("mini", embeddings_cache=store)

    with caplog.at_level(logging.WARNING):
        again = pickle.loads(pickle.dumps(made))

    assert again.embeddings_cache is None
    assert made.embeddings_cache is store
    assert "embeddings_cache" in caplog.text


@CLASSES
def test_a_deep_copy_draws_from_the_same_pool(cls: type[Component]) -> None:
    with ModelPool(PoolSettings(devices=("cpu",))) as pool:
        made = cls(**FULL[cls], pool=pool)
        again = copy.deepcopy(made)

        assert again.pool is pool
        assert again == made


@CLASSES
def test_it_prints_what_was_set_and_no_more(cls: type[Component]) -> None:
    name = "model_name" if cls is BGEEmbedding else "model"

    assert sorted(repr(cls("mini", max_tokens=64))[len(cls.__name__) + 1 : -1].split(", ")) == [
        "max_tokens=64",
        f"{name}='mini'",
    ]


@CLASSES
def test_it_compares_by_its_settings(cls: type[Component]) -> None:
    assert cls("mini") == cls("mini")
    assert cls("mini") != cls("mini", max_tokens=64)
    assert cls("mini") != "mini"


@CLASSES
@pytest.mark.parametrize(
    "given",
    [
        {"dtype": "int3"},
        {"backend": "onnx"},
        {"max_tokens": 0},
        {"max_tokens": "many"},
        {"on_truncation": "perhaps"},
        {"timeout_s": 0},
        {"device": 7},
        {"pool": "pool"},
        {"query_instruction": 3},
        {"model": ""},
        {"model": 5},
    ],
    ids=str,
)
def test_wrong_settings_are_refused_when_they_are_made(cls: type[Component], given: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=next(iter(given))):
        cls(**given)


def test_load_embed_model_restores_it_once_it_is_recognised(monkeypatch: pytest.MonkeyPatch) -> None:
    made = BGEEmbedding(**FULL[BGEEmbedding])
    monkeypatch.setitem(RECOGNIZED_EMBEDDINGS, BGEEmbedding.class_name(), BGEEmbedding)

    assert load_embed_model(made.to_dict()) == made
