"""What both shapes of sparse embeddings must do; `as_dict` reads either shape."""

from __future__ import annotations

import asyncio
import math
import pickle
from pathlib import Path
from typing import Any

import pytest
from langchain_core.load import dumps, loads
from langchain_qdrant import SparseEmbeddings, SparseVector

from bge_components import Encoder, EncoderSettings, ModelArguments, ModelPool, PoolSettings, make_encoder
from bge_components.errors import InputError, InputTypeError, MissingOutputError, TextTooLongError
from bge_components.langchain import BGEEmbeddings, BGEMilvusSparseEmbeddings, BGESparseEmbeddings
from house.sealed import run_fresh

TEXTS = [
    "What is the boiling point of water?",
    "Paris is the capital of France.",
    "水的沸点",
    "",
    "water " * 9,
]
COMPONENTS = (BGESparseEmbeddings, BGEMilvusSparseEmbeddings)
every_shape = pytest.mark.parametrize("component", COMPONENTS, ids=lambda one: one.__name__)


def as_dict(vector: Any) -> dict[int, float]:
    if isinstance(vector, SparseVector):
        assert len(vector.indices) == len(vector.values)
        return dict(zip(vector.indices, vector.values))
    assert type(vector) is dict
    return vector


def encoder(folder: Path, **settings: Any) -> Encoder:
    return make_encoder(ModelArguments(model=str(folder), dtype="float32"), EncoderSettings(**settings))


def expected(folder: Path, texts: list[str], role: Any, **settings: Any) -> list[dict[int, float]]:
    encoding = encoder(folder, **settings).encode(texts, role=role, outputs=("sparse",))
    return encoding.need_sparse().todicts()


@every_shape
def test_documents_and_queries_are_exactly_what_the_encoder_gives(component: Any, tiny_m3: Path) -> None:
    made = component(model=tiny_m3, dtype="float32")
    wanted = expected(tiny_m3, TEXTS, "document")

    assert any(wanted)
    assert [as_dict(vector) for vector in made.embed_documents(TEXTS)] == wanted
    assert [as_dict(made.embed_query(text)) for text in TEXTS] == [
        expected(tiny_m3, [text], "query")[0] for text in TEXTS
    ]


@every_shape
async def test_async_gives_exactly_the_same(component: Any, tiny_m3: Path) -> None:
    made = component(model=tiny_m3, dtype="float32")

    assert await made.aembed_documents(TEXTS) == made.embed_documents(TEXTS)
    assert await made.aembed_query(TEXTS[0]) == made.embed_query(TEXTS[0])


@every_shape
async def test_instructions_and_lengths_go_to_the_side_they_are_for(component: Any, tiny_m3: Path) -> None:
    settings = {"query_instruction": "find: ", "document_instruction": "kept: ", "max_tokens": 8}
    made = component(model=tiny_m3, dtype="float32", on_truncation="ignore", **settings)
    document = expected(tiny_m3, TEXTS[:1], "document", on_truncation="ignore", **settings)[0]
    query = expected(tiny_m3, TEXTS[:1], "query", on_truncation="ignore", **settings)[0]

    assert document != query
    assert as_dict(made.embed_documents(TEXTS[:1])[0]) == document
    assert as_dict((await made.aembed_documents(TEXTS[:1]))[0]) == document
    assert as_dict(made.embed_query(TEXTS[0])) == query
    assert as_dict(await made.aembed_query(TEXTS[0])) == query


@every_shape
def test_ids_ascend_and_weights_are_plain_floats_above_0(component: Any, tiny_m3: Path) -> None:
    for vector in component(model=tiny_m3).embed_documents(TEXTS):
        weights = as_dict(vector)
        assert list(weights) == sorted(weights)
        assert {type(token) for token in weights} <= {int}
        assert {type(weight) for weight in weights.values()} <= {float}
        assert all(weight > 0 and math.isfinite(weight) for weight in weights.values())


@every_shape
async def test_no_texts_give_no_vectors_and_a_text_without_words_an_empty_one(
    component: Any, tiny_m3: Path
) -> None:
    made = component(model=tiny_m3)

    assert made.embed_documents([]) == await made.aembed_documents([]) == []
    assert as_dict(made.embed_query("")) == {}


def test_they_are_what_the_qdrant_store_declares(tiny_m3: Path) -> None:
    made = BGESparseEmbeddings(model=tiny_m3)

    assert isinstance(made, SparseEmbeddings)
    assert {type(vector) for vector in made.embed_documents(TEXTS)} == {SparseVector}


@every_shape
@pytest.mark.parametrize("wrong", ["water", None, 3, [None], ["water", b"bytes"]], ids=str)
async def test_what_is_no_list_of_strings_is_refused(component: Any, wrong: Any) -> None:
    made = component(model="mini", backend="fake")

    with pytest.raises(InputTypeError):
        made.embed_documents(wrong)
    with pytest.raises(InputTypeError):
        await made.aembed_documents(wrong)


@every_shape
async def test_a_query_that_is_no_string_is_refused(component: Any) -> None:
    made = component(model="mini", backend="fake")

    with pytest.raises(InputTypeError):
        made.embed_query(["water"])
    with pytest.raises(InputTypeError):
        await made.aembed_query(None)


@every_shape
async def test_a_checkpoint_without_sparse_weights_says_what_it_gives_and_what_has_them(
    component: Any, tiny_bert: Path
) -> None:
    with pytest.raises(MissingOutputError, match=r"mini gives dense, multi, but sparse .* BAAI/bge-m3"):
        component(model="mini").embed_query("water")
    with pytest.raises(MissingOutputError, match=r"gives dense, but sparse .* BAAI/bge-m3"):
        await component(model=tiny_bert).aembed_documents(["water"])


@every_shape
def test_a_text_that_is_too_long_can_be_refused(component: Any, tiny_m3: Path) -> None:
    with pytest.raises(TextTooLongError):
        component(model=tiny_m3, max_tokens=4, on_truncation="error").embed_documents(["water " * 50])


@every_shape
def test_they_take_every_argument_that_the_dense_embeddings_have(component: Any) -> None:
    assert set(component.model_fields) == set(BGEEmbeddings.model_fields)
    settings = {"model": "mini", "backend": "fake", "normalize": False, "dimensions": 8, "task": None}

    assert component(**settings).embed_query("water") == component(model="mini", backend="fake").embed_query(
        "water"
    )


@every_shape
def test_a_wrong_argument_is_refused_by_name(component: Any) -> None:
    with pytest.raises(InputError, match=rf"{component.__name__}.*did you mean 'model'"):
        component(modle="mini")
    with pytest.raises(InputError, match=r"dimensions"):
        component(dimensions=0)


@every_shape
@pytest.mark.filterwarnings("ignore:The function `loads` is in beta")
def test_it_is_settings_only(component: Any, pool: ModelPool, fresh_pool: ModelPool) -> None:
    made = component(model="mini", backend="fake", max_tokens=100, pool=pool)
    opened = pickle.loads(pickle.dumps(made))
    read = loads(dumps(made), allowed_objects=[component], valid_namespaces=["bge_components"])

    assert opened == read == made
    assert opened.pool is None
    assert opened.embed_query("water") == made.embed_query("water")
    assert repr(made).startswith(f"{component.__name__}(model='mini'")
    assert component().model == "BAAI/bge-m3"
    assert component(model_name="mini") == component(model="mini") != BGEEmbeddings(model="mini")


@every_shape
def test_progress_is_shown_when_asked_for(component: Any, capfd: pytest.CaptureFixture[str]) -> None:
    component(model="mini", backend="fake").embed_documents(["a", "b"])
    assert capfd.readouterr() == ("", "")

    component(model="mini", backend="fake", show_progress=True).embed_documents(["a", "b"])
    assert "Embedding" in capfd.readouterr().err


@every_shape
async def test_nothing_blocks_the_event_loop_not_even_the_load(
    component: Any, fresh_pool: ModelPool, tiny_m3: Path
) -> None:
    blockbuster = pytest.importorskip("blockbuster")
    made = component(model=tiny_m3)

    with blockbuster.blockbuster_ctx():
        together = await asyncio.gather(made.aembed_documents(TEXTS), made.aembed_query(TEXTS[0]))

    assert together == [made.embed_documents(TEXTS), made.embed_query(TEXTS[0])]
    assert fresh_pool.stats().loads == 1


@every_shape
async def test_dense_and_sparse_of_the_same_texts_soon_cost_one_pass(component: Any, tiny_m3: Path) -> None:
    with ModelPool(PoolSettings(devices=("cpu",), memo_s=100)) as pool:
        settings = {"model": tiny_m3, "device": "cpu", "pool": pool}
        dense, sparse = BGEEmbeddings(**settings), component(**settings)

        def passes() -> int:
            return sum(device.batches for device in pool.stats().devices)

        dense.embed_documents(TEXTS[:1]), sparse.embed_documents(TEXTS[:1])
        dense.embed_query(TEXTS[1]), sparse.embed_query(TEXTS[1])
        learnt = passes()

        dense.embed_documents(["a cat", "a dog"]), sparse.embed_documents(["a cat", "a dog"])
        assert passes() == learnt + 1
        dense.embed_query("a mat"), sparse.embed_query("a mat")
        assert passes() == learnt + 2
        await sparse.aembed_documents(["a bird", "a fish"])
        await dense.aembed_documents(["a bird", "a fish"])
        assert passes() == learnt + 3
        await dense.aembed_query("a stone")
        await sparse.aembed_query("a stone")
        assert passes() == learnt + 4
        assert pool.stats().loads == 1


WITHOUT_QDRANT = """
import sys
sys.modules["langchain_qdrant"] = None
from bge_components.langchain import *
print(BGEMilvusSparseEmbeddings(model="mini", backend="fake").embed_query("water"))
try:
    BGESparseEmbeddings(model="mini")
except ImportError as error:
    print(type(error).__name__, error)
"""
NOT_IMPORTED = """
import sys
import bge_components.langchain
from bge_components.langchain import BGEEmbeddings
print(sorted({"langchain_qdrant", "qdrant_client", "langchain_milvus", "pymilvus"} & set(sys.modules)))
"""


def test_without_langchain_qdrant_only_its_own_shape_is_missing_and_names_the_pip_line() -> None:
    done = run_fresh(WITHOUT_QDRANT)

    assert done.returncode == 0, done.stderr
    weights, told = done.stdout.splitlines()
    assert weights.startswith("{")
    assert told.startswith("MissingDependencyError")
    assert "pip install langchain-qdrant" in told


def test_importing_the_room_imports_no_store() -> None:
    done = run_fresh(NOT_IMPORTED)

    assert done.stdout.strip() == "[]", done.stderr
