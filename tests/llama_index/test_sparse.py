from __future__ import annotations

import asyncio
import copy
import json
import pickle
from pathlib import Path
from typing import Any

import pytest
from llama_index.core.async_utils import run_async_tasks
from llama_index.core.base.embeddings.base_sparse import BaseSparseEmbedding

from bge_components import ModelPool, PoolSettings
from bge_components.errors import InputError, InputTypeError, MissingOutputError, TextTooLongError
from bge_components.llama_index import BGEEmbedding, BGESparseEmbedding

pytestmark = pytest.mark.usefixtures("pool")

TEXTS = ["a cat sat on the mat", "stocks fell on Monday", "", "a cat sat on the mat"]
SETTINGS: dict[str, Any] = {
    "model_name": "BAAI/bge-m3",
    "revision": "abc",
    "dtype": "float32",
    "backend": "fake",
    "query_instruction": "find: ",
    "document_instruction": "",
    "max_tokens": 128,
    "on_truncation": "error",
}


def fake(**settings: Any) -> BGESparseEmbedding:
    return BGESparseEmbedding(settings.pop("model_name", "BAAI/bge-m3"), backend="fake", **settings)


def expected(embedding: BGESparseEmbedding, texts: list[str], role: Any) -> list[dict[int, float]]:
    return embedding._encoder().encode(texts, role, ("sparse",)).need_sparse().todicts()


async def test_all_ways_to_embed_a_document_are_exactly_what_the_encoder_gives(tiny_m3: Path) -> None:
    sparse = BGESparseEmbedding(str(tiny_m3), dtype="float32", document_instruction="kept: ")
    wanted = expected(sparse, TEXTS, "document")

    assert any(wanted)
    assert sparse.get_text_embedding_batch(TEXTS) == wanted
    assert await sparse.aget_text_embedding_batch(TEXTS) == wanted
    assert sparse._get_text_embeddings(TEXTS) == wanted
    assert await sparse._aget_text_embeddings(TEXTS) == wanted
    for number, text in enumerate(TEXTS[:2]):
        one = wanted[number]
        assert sparse.get_text_embedding(text) == await sparse.aget_text_embedding(text) == one
        assert sparse._get_text_embedding(text) == await sparse._aget_text_embedding(text) == one


async def test_all_ways_to_embed_a_query_agree_and_differ_from_a_document() -> None:
    sparse = fake(query_instruction="find: ")
    wanted = expected(sparse, TEXTS[:1], "query")[0]

    assert sparse.get_query_embedding(TEXTS[0]) == await sparse.aget_query_embedding(TEXTS[0]) == wanted
    assert sparse._get_query_embedding(TEXTS[0]) == await sparse._aget_query_embedding(TEXTS[0]) == wanted
    assert wanted != expected(sparse, TEXTS[:1], "document")[0]


async def test_several_queries_are_aggregated_to_the_mean_of_their_weights() -> None:
    sparse = fake()
    first, second = expected(sparse, TEXTS[:2], "query")
    wanted = {token: (first.get(token, 0) + second.get(token, 0)) / 2 for token in first | second}

    assert sparse.get_agg_embedding_from_queries(TEXTS[:2]) == pytest.approx(wanted)
    assert await sparse.aget_agg_embedding_from_queries(TEXTS[:2]) == pytest.approx(wanted)
    assert sparse.get_agg_embedding_from_queries(TEXTS[:2], agg_fn=lambda found: found[1]) == second


def test_the_functions_for_qdrant_give_ids_and_weights_of_their_role() -> None:
    sparse = fake(query_instruction="find: ")

    for function, role in ((sparse.sparse_doc_fn, "document"), (sparse.sparse_query_fn, "query")):
        ids, weights = function(TEXTS)
        assert [dict(zip(*row)) for row in zip(ids, weights)] == expected(sparse, TEXTS, role)
        assert {type(row) for row in (*ids, *weights)} == {list}
        assert {type(token) for row in ids for token in row} == {int}
        assert {type(weight) for row in weights for weight in row} == {float}
        assert function([]) == ([], [])


def test_the_functions_for_qdrant_can_be_pickled() -> None:
    sparse = fake()

    assert pickle.loads(pickle.dumps(sparse.sparse_doc_fn))(TEXTS) == sparse.sparse_doc_fn(TEXTS)


@pytest.mark.parametrize("size", [1, 3, 2048])
async def test_the_batch_size_changes_nothing_but_the_number_of_calls(size: int, events: Any) -> None:
    sparse = fake(embed_batch_size=size, num_workers=2)
    wanted = expected(sparse, TEXTS, "document")

    assert sparse.get_text_embedding_batch(TEXTS) == wanted
    assert len(events.names("SparseEmbeddingStart")) == -(-len(TEXTS) // size)
    assert await sparse.aget_text_embedding_batch(TEXTS) == wanted


# ---------------------------------------------------------------------- events


async def test_events_come_in_pairs_with_texts_and_weights(events: Any) -> None:
    sparse = fake()
    wanted = expected(sparse, TEXTS, "document")

    sparse.get_text_embedding_batch(TEXTS)
    assert events.last("SparseEmbeddingEndEvent").chunks == TEXTS
    assert events.last("SparseEmbeddingEndEvent").embeddings == wanted
    await sparse.aget_text_embedding_batch(TEXTS)
    sparse.get_query_embedding("cat")
    await sparse.aget_text_embedding("cat")
    sparse.sparse_query_fn(["cat"])

    assert events.names("Embedding") == ["SparseEmbeddingStartEvent", "SparseEmbeddingEndEvent"] * 5
    told = events.last("SparseEmbeddingStartEvent").model_dict
    assert (told["class_name"], told["model_name"]) == ("BGESparseEmbedding", "BAAI/bge-m3")


async def test_events_come_in_pairs_when_the_call_fails(events: Any) -> None:
    sparse = fake(max_tokens=4, on_truncation="error")
    long = ["word " * 50]

    with pytest.raises(TextTooLongError):
        sparse.get_text_embedding_batch(long)
    with pytest.raises(TextTooLongError):
        await sparse.aget_query_embedding(long[0])

    assert events.names("Embedding") == ["SparseEmbeddingStartEvent", "SparseEmbeddingEndEvent"] * 2
    assert events.last("SparseEmbeddingEndEvent").chunks == []


async def test_an_empty_list_loads_nothing_and_says_nothing(pool: ModelPool, events: Any) -> None:
    assert fake().get_text_embedding_batch([]) == await fake().aget_text_embedding_batch([]) == []
    assert events.names("Embedding") == []
    assert pool.stats().loads == 0


# ---------------------------------------------------------------------- event loops and the pool


async def test_the_event_loop_runs_on_while_the_model_computes(gate: Any) -> None:
    sparse = fake()
    sparse.get_text_embedding("loaded")

    for call in (
        sparse.aget_query_embedding("q"),
        sparse.aget_text_embedding("t"),
        sparse.aget_text_embedding_batch(["a", "b"]),
        sparse._aget_text_embeddings(["c", "d"]),
    ):
        gate.close()
        task = asyncio.create_task(call)
        await gate.reached()
        assert not task.done()
        gate.open()
        assert await task


async def test_a_second_loop_in_another_thread_is_served_too() -> None:
    sparse = fake()
    wanted = sparse.get_query_embedding("cat")

    assert await sparse.aget_query_embedding("cat") == wanted
    assert run_async_tasks([sparse.aget_query_embedding("cat") for _ in range(4)]) == [wanted] * 4


async def test_dense_and_sparse_of_the_same_texts_soon_cost_one_pass(tiny_m3: Path) -> None:
    with ModelPool(PoolSettings(devices=("cpu",), memo_s=100)) as pool:
        settings = {"model": str(tiny_m3), "device": "cpu", "pool": pool}
        dense, sparse = BGEEmbedding(**settings), BGESparseEmbedding(**settings)

        def passes() -> int:
            return sum(device.batches for device in pool.stats().devices)

        dense.get_text_embedding_batch(["a text"]), sparse.get_text_embedding_batch(["a text"])
        dense.get_query_embedding("a query"), sparse.get_query_embedding("a query")
        learnt = passes()

        dense.get_text_embedding_batch(["a cat", "a dog"]), sparse.sparse_doc_fn(["a cat", "a dog"])
        assert passes() == learnt + 1
        dense.get_query_embedding("a mat"), sparse.sparse_query_fn(["a mat"])
        assert passes() == learnt + 2
        await sparse.aget_text_embedding_batch(["a bird", "a fish"])
        await dense.aget_text_embedding_batch(["a bird", "a fish"])
        assert passes() == learnt + 3
        await dense.aget_query_embedding("a stone")
        await sparse.aget_query_embedding("a stone")
        assert passes() == learnt + 4
        assert pool.stats().loads == 1


# ---------------------------------------------------------------------- settings


def test_it_is_what_llama_index_calls_a_sparse_embedding() -> None:
    assert isinstance(fake(), BaseSparseEmbedding)
    assert BGESparseEmbedding.class_name() == "BGESparseEmbedding"
    assert BGESparseEmbedding().model_name == "BAAI/bge-m3"


def test_it_takes_every_argument_of_the_encoder_that_the_dense_embedding_takes() -> None:
    of_the_base = {"callback_manager", "embeddings_cache", "rate_limiter"}

    assert set(BGEEmbedding.model_fields) - set(BGESparseEmbedding.model_fields) == of_the_base
    assert fake(normalize=False, dimensions=8).get_query_embedding("cat") == fake().get_query_embedding("cat")


def test_what_is_dumped_is_plain_and_makes_the_same_again(pool: ModelPool) -> None:
    made = BGESparseEmbedding(**SETTINGS, device="cpu", pool=pool)

    dumped = json.loads(made.model_dump_json())

    assert dumped == made.model_dump()
    assert dumped.pop("class_name") == "BGESparseEmbedding"
    assert {name for name, value in dumped.items() if value is not None} == set(SETTINGS)
    assert BGESparseEmbedding(**dumped) == BGESparseEmbedding(**SETTINGS)


def test_every_setting_survives_a_pickle_and_the_pool_does_not(pool: ModelPool) -> None:
    made = BGESparseEmbedding(**SETTINGS, device="cpu", timeout_s=30.0, pool=pool)

    again = pickle.loads(pickle.dumps(made))

    assert again.pool is None
    assert again == BGESparseEmbedding(**SETTINGS, device="cpu", timeout_s=30.0)
    assert again.get_text_embedding("cat") == made.get_text_embedding("cat")


def test_a_deep_copy_draws_from_the_same_pool(pool: ModelPool) -> None:
    made = BGESparseEmbedding(**SETTINGS, pool=pool)

    assert copy.deepcopy(made).pool is pool
    assert copy.deepcopy(made) == made


def test_it_prints_what_was_set_and_no_more() -> None:
    assert repr(BGESparseEmbedding("mini")) == "BGESparseEmbedding(model_name='mini')"


@pytest.mark.parametrize(
    "given", [{"dtype": "int3"}, {"max_tokens": 0}, {"model": ""}, {"pooool": 1}], ids=str
)
def test_wrong_settings_are_refused_when_they_are_made(given: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=next(iter(given))):
        BGESparseEmbedding(**given)


@pytest.mark.parametrize("texts", [None, "one text", [None], ["a", 3]], ids=repr)
async def test_what_is_no_list_of_texts_is_refused_before_any_event(texts: Any, events: Any) -> None:
    with pytest.raises(InputTypeError):
        fake().get_text_embedding_batch(texts)
    with pytest.raises(InputTypeError):
        await fake().aget_text_embedding_batch(texts)
    with pytest.raises(InputTypeError):
        fake().sparse_doc_fn(texts)
    assert events.names("Embedding") == []


async def test_a_checkpoint_without_sparse_weights_says_what_it_gives_and_what_has_them(
    tiny_bert: Path,
) -> None:
    with pytest.raises(MissingOutputError, match=r"mini gives dense, multi, but sparse .* BAAI/bge-m3"):
        BGESparseEmbedding("mini").get_query_embedding("cat")
    with pytest.raises(MissingOutputError, match=r"gives dense, but sparse .* BAAI/bge-m3"):
        await BGESparseEmbedding(str(tiny_bert)).aget_text_embedding_batch(["cat"])


def test_progress_is_shown_on_request_and_only_then(capfd: pytest.CaptureFixture[str]) -> None:
    fake().get_text_embedding_batch(TEXTS)
    assert capfd.readouterr() == ("", "")

    fake(embed_batch_size=2).get_text_embedding_batch(TEXTS, show_progress=True)
    assert "4/4" in capfd.readouterr().err
