from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from llama_index.core.async_utils import run_async_tasks
from llama_index.core.rate_limiter import BaseRateLimiter
from llama_index.core.schema import TextNode
from llama_index.core.storage.kvstore import SimpleKVStore

from bge_components import Encoder, ModelPool
from bge_components.errors import CheckpointError, InputError, InputTypeError, TextTooLongError
from bge_components.llama_index import BGEEmbedding

pytestmark = pytest.mark.usefixtures("pool")

M3 = "BAAI/bge-m3"
TEXTS = ["a cat sat on the mat", "stocks fell on Monday", "", "a cat sat on the mat"]


def fake(**settings: Any) -> BGEEmbedding:
    return BGEEmbedding(settings.pop("model_name", M3), backend="fake", **settings)


def reference(embedding: BGEEmbedding, texts: list[str], role: str) -> list[list[float]]:
    encoder: Encoder = embedding._encoder()
    return encoder.encode(texts, role).need_dense().tolist()  # type: ignore[arg-type]


# ---------------------------------------------------------------------- results


async def test_all_ways_to_embed_a_document_agree() -> None:
    embedding = fake()
    wanted = reference(embedding, TEXTS, "document")

    assert embedding.get_text_embedding_batch(TEXTS) == wanted
    assert await embedding.aget_text_embedding_batch(TEXTS) == wanted
    assert [embedding.get_text_embedding(text) for text in TEXTS] == wanted
    assert [await embedding.aget_text_embedding(text) for text in TEXTS] == wanted
    assert embedding._get_text_embeddings(TEXTS) == wanted
    assert await embedding._aget_text_embeddings(TEXTS) == wanted
    assert embedding._get_text_embedding(TEXTS[0]) == wanted[0]
    assert await embedding._aget_text_embedding(TEXTS[0]) == wanted[0]


async def test_all_ways_to_embed_a_query_agree_and_differ_from_a_document() -> None:
    embedding = fake(query_instruction="find: ")
    wanted = reference(embedding, TEXTS[:1], "query")[0]

    assert embedding.get_query_embedding(TEXTS[0]) == wanted
    assert await embedding.aget_query_embedding(TEXTS[0]) == wanted
    assert embedding._get_query_embedding(TEXTS[0]) == wanted
    assert await embedding._aget_query_embedding(TEXTS[0]) == wanted
    assert wanted != reference(embedding, TEXTS[:1], "document")[0]


async def test_several_queries_are_aggregated_in_one_call(events: Any) -> None:
    embedding = fake(query_instruction="find: ")
    wanted = np.mean(reference(embedding, TEXTS[:2], "query"), axis=0)

    assert np.allclose(embedding.get_agg_embedding_from_queries(TEXTS[:2]), wanted)
    assert np.allclose(await embedding.aget_agg_embedding_from_queries(TEXTS[:2]), wanted)
    assert events.names("Embedding") == ["EmbeddingStartEvent", "EmbeddingEndEvent"] * 2
    assert embedding.get_agg_embedding_from_queries(TEXTS[:2], agg_fn=max) == max(
        reference(embedding, TEXTS[:2], "query")
    )


def test_vectors_are_lists_of_plain_floats() -> None:
    for vector in fake().get_text_embedding_batch(TEXTS):
        assert type(vector) is list
        assert {type(value) for value in vector} == {float}


@pytest.mark.parametrize("size", [1, 3, 4, 2048])
async def test_the_batch_size_changes_nothing_but_the_number_of_calls(size: int, events: Any) -> None:
    embedding = fake(embed_batch_size=size)
    wanted = reference(embedding, TEXTS, "document")

    assert embedding.get_text_embedding_batch(TEXTS) == wanted
    assert len(events.names("EmbeddingStart")) == -(-len(TEXTS) // size)
    assert await embedding.aget_text_embedding_batch(TEXTS) == wanted
    fake_with_workers = fake(embed_batch_size=size, num_workers=2)
    assert await fake_with_workers.aget_text_embedding_batch(TEXTS) == wanted


def test_a_setting_that_is_changed_later_counts() -> None:
    embedding = fake(query_instruction="find: ")
    before = embedding.get_query_embedding("cat")

    embedding.query_instruction = ""

    assert embedding.get_query_embedding("cat") != before
    assert embedding.get_query_embedding("cat") == embedding.get_text_embedding("cat")


def test_the_files_of_a_checkpoint_are_looked_at_once_not_in_every_call() -> None:
    embedding = fake()

    first = embedding.checkpoint_source(embedding.model_name)
    embedding.get_query_embedding("cat")
    embedding.max_tokens = 64
    assert embedding.checkpoint_source(embedding.model_name) is first

    embedding.device = "cpu"
    assert embedding.checkpoint_source(embedding.model_name) is not first


def test_dimensions_are_cut_and_normalised_again() -> None:
    vector = fake(dimensions=4).get_text_embedding("cat")

    assert len(vector) == 4
    assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-6)


def test_nodes_get_their_vectors_as_a_step_of_a_pipeline() -> None:
    embedding = fake()
    nodes = [TextNode(text=text, metadata={"page": "7"}) for text in TEXTS[:2]]

    embedded = embedding(nodes, show_progress=False)

    assert [node.embedding for node in embedded] == reference(
        embedding, [f"page: 7\n\n{text}" for text in TEXTS[:2]], "document"
    )


# ---------------------------------------------------------------------- events


async def test_events_come_in_pairs_with_texts_and_vectors(events: Any, callbacks: Any) -> None:
    embedding = fake(callback_manager=callbacks.manager)
    wanted = reference(embedding, TEXTS, "document")

    for vectors in (
        embedding.get_text_embedding_batch(TEXTS),
        await embedding.aget_text_embedding_batch(TEXTS),
    ):
        assert vectors == wanted
        assert events.last("EmbeddingEndEvent").chunks == TEXTS
        assert events.last("EmbeddingEndEvent").embeddings == wanted
    embedding.get_query_embedding("cat")
    await embedding.aget_query_embedding("cat")

    assert events.names("Embedding") == ["EmbeddingStartEvent", "EmbeddingEndEvent"] * 4
    assert callbacks.kinds("embedding") == ["start", "end"] * 4
    assert events.last("EmbeddingStartEvent").model_dict["model_name"] == M3
    assert events.last("EmbeddingStartEvent").model_dict["class_name"] == "BGEEmbedding"


async def test_events_come_in_pairs_when_the_call_fails(events: Any, callbacks: Any) -> None:
    embedding = fake(max_tokens=4, on_truncation="error", callback_manager=callbacks.manager)
    long = ["word " * 50]

    with pytest.raises(TextTooLongError):
        embedding.get_text_embedding_batch(long)
    with pytest.raises(TextTooLongError):
        await embedding.aget_text_embedding_batch(long)
    with pytest.raises(TextTooLongError):
        embedding.get_query_embedding(long[0])

    assert events.names("Embedding") == ["EmbeddingStartEvent", "EmbeddingEndEvent"] * 3
    assert callbacks.kinds("embedding") == ["start", "end"] * 3
    assert events.last("EmbeddingEndEvent").chunks == []
    assert any("exception" in payload for _, moment, payload in callbacks.seen if moment == "end")


async def test_an_empty_list_loads_nothing_and_says_nothing(pool: ModelPool, events: Any) -> None:
    assert fake().get_text_embedding_batch([]) == []
    assert await fake().aget_text_embedding_batch([]) == []
    assert fake()._get_text_embeddings([]) == []
    assert events.names("Embedding") == []
    assert pool.stats().loads == 0


# ---------------------------------------------------------------------- the embeddings cache


async def test_queries_and_documents_never_share_a_cache_entry() -> None:
    cached = fake(query_instruction="find: ", embeddings_cache=SimpleKVStore())
    plain = fake(query_instruction="find: ")

    for _ in range(2):
        assert cached.get_text_embedding("cat") == plain.get_text_embedding("cat")
        assert cached.get_query_embedding("cat") == plain.get_query_embedding("cat")
        assert await cached.aget_query_embedding("cat") == plain.get_query_embedding("cat")
        assert await cached.aget_text_embedding_batch(["cat"]) == [plain.get_text_embedding("cat")]


@pytest.mark.parametrize(
    "other",
    [
        {"model_name": "BAAI/bge-base-en-v1.5"},
        {"document_instruction": "keep: "},
        {"dimensions": 4},
        {"normalize": False},
        {"max_tokens": 5},
        {"revision": "abc"},
        {"dtype": "float32"},
        {"task": "qa"},
        {"on_truncation": "error"},
    ],
    ids=str,
)
def test_different_settings_never_share_a_cache_entry(other: dict[str, Any]) -> None:
    assert fake(embeddings_cache=SimpleKVStore(), **other)._cache("document").key("cat") != fake(  # type: ignore[union-attr]
        embeddings_cache=SimpleKVStore()
    )._cache("document").key("cat")  # type: ignore[union-attr]


def test_the_role_is_part_of_the_key_even_where_no_instruction_was_given() -> None:
    plain = fake(embeddings_cache=SimpleKVStore())
    asking = fake(embeddings_cache=SimpleKVStore(), query_instruction="find: ")

    assert plain._cache("query").key("cat") != plain._cache("document").key("cat")  # type: ignore[union-attr]
    assert plain._cache("query").key("cat") != asking._cache("query").key("cat")  # type: ignore[union-attr]
    assert plain._cache("document").key("cat") == asking._cache("document").key("cat")  # type: ignore[union-attr]


@pytest.mark.parametrize("other", [{"device": "cpu"}, {"embed_batch_size": 7}, {"timeout_s": 60.0}], ids=str)
def test_settings_that_change_no_vector_share_a_cache_entry(other: dict[str, Any]) -> None:
    store = SimpleKVStore()
    fake(embeddings_cache=store).get_text_embedding("cat")

    fake(embeddings_cache=store, **other).get_text_embedding("cat")

    assert len(store.get_all("embeddings")) == 1


async def test_what_is_cached_is_not_computed_again(pool: ModelPool) -> None:
    embedding = fake(embeddings_cache=SimpleKVStore(), embed_batch_size=2)
    wanted = embedding.get_text_embedding_batch(TEXTS)
    pool.evict()

    assert embedding.get_text_embedding_batch(TEXTS) == wanted
    assert await embedding.aget_text_embedding_batch(TEXTS) == wanted
    assert embedding.get_text_embedding(TEXTS[1]) == wanted[1]
    assert pool.stats().loads == 1

    mixed = embedding.get_text_embedding_batch(["new", *TEXTS])
    assert mixed == reference(embedding, ["new", *TEXTS], "document")


class CountingLimiter(BaseRateLimiter):
    def __init__(self) -> None:
        self.calls: list[str] = []

    def acquire(self, num_tokens: int = 0) -> None:
        self.calls.append("sync")

    async def async_acquire(self, num_tokens: int = 0) -> None:
        self.calls.append("async")


async def test_the_rate_limiter_is_asked_before_each_call_that_computes() -> None:
    limiter = CountingLimiter()
    embedding = fake(rate_limiter=limiter, embed_batch_size=2, embeddings_cache=SimpleKVStore())

    embedding.get_text_embedding_batch(TEXTS[:3])
    await embedding.aget_query_embedding("cat")
    embedding.get_text_embedding_batch(TEXTS[:3])
    await embedding.aget_query_embedding("cat")

    assert limiter.calls == ["sync", "sync", "async"]


# ---------------------------------------------------------------------- event loops and threads


async def test_the_event_loop_runs_on_while_the_model_computes(gate: Any) -> None:
    embedding = fake()
    embedding.get_text_embedding("loaded")

    for call in (
        embedding.aget_query_embedding("q"),
        embedding.aget_text_embedding("t"),
        embedding.aget_text_embedding_batch(["a", "b"]),
        embedding._aget_text_embeddings(["c", "d"]),
    ):
        gate.close()
        task = asyncio.create_task(call)
        await gate.reached()
        for _ in range(5):  # the loop turns while the model is held at the gate
            await asyncio.sleep(0)
        assert not task.done()
        gate.open()
        assert await task


async def test_a_second_loop_in_another_thread_is_served_too() -> None:
    embedding = fake()
    wanted = embedding.get_query_embedding("cat")

    assert await embedding.aget_query_embedding("cat") == wanted
    assert run_async_tasks([embedding.aget_query_embedding("cat") for _ in range(4)]) == [wanted] * 4
    assert await asyncio.to_thread(asyncio.run, embedding.aget_query_embedding("cat")) == wanted


async def test_threads_and_tasks_at_once_get_their_own_vectors() -> None:
    embedding = fake()
    texts = [f"text number {number}" for number in range(64)]
    wanted = embedding.get_text_embedding_batch(texts)

    with ThreadPoolExecutor(8) as threads:
        by_threads = list(threads.map(embedding.get_text_embedding, texts))
    by_tasks = await asyncio.gather(*(embedding.aget_text_embedding(text) for text in texts))

    assert by_threads == wanted
    assert by_tasks == wanted


async def test_a_cancelled_call_leaves_the_embedding_usable(gate: Any, events: Any) -> None:
    embedding = fake()
    embedding.get_text_embedding("loaded")
    gate.close()
    task = asyncio.create_task(embedding.aget_text_embedding_batch(["a", "b"]))
    await gate.reached()

    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    gate.open()

    assert await embedding.aget_text_embedding("a") == embedding.get_text_embedding("a")
    assert len(events.names("EmbeddingStart")) == len(events.names("EmbeddingEnd"))


# ---------------------------------------------------------------------- bad input


@pytest.mark.parametrize("texts", [None, "one text", [None], ["a", 3], [b"bytes"], 7], ids=repr)
async def test_what_is_no_list_of_texts_is_refused_before_any_event(texts: Any, events: Any) -> None:
    embedding = fake()

    with pytest.raises(InputTypeError):
        embedding.get_text_embedding_batch(texts)
    with pytest.raises(InputTypeError):
        await embedding.aget_text_embedding_batch(texts)
    assert events.names("Embedding") == []


@pytest.mark.parametrize("query", [None, 3, ["cat"], b"cat"], ids=repr)
async def test_what_is_no_query_is_refused(query: Any) -> None:
    with pytest.raises(InputTypeError):
        fake().get_query_embedding(query)
    with pytest.raises(InputTypeError):
        await fake().aget_query_embedding(query)


def test_odd_texts_are_embedded(recwarn: pytest.WarningsRecorder) -> None:
    odd = ["", " \n\t", "\x00", "half a pair \ud800", "🙂" * 100, "x" * 1_000_000, *["same"] * 50]
    embedding = fake(embeddings_cache=SimpleKVStore(), on_truncation="ignore")

    vectors = embedding.get_text_embedding_batch(odd)

    assert len(vectors) == len(odd)
    assert np.isfinite(vectors).all()
    assert vectors[-1] == vectors[-50]
    assert embedding.get_text_embedding_batch(odd) == vectors


def test_a_checkpoint_that_is_not_there_is_an_error_of_the_call_not_of_the_constructor() -> None:
    embedding = BGEEmbedding("./no/such/folder", local_files_only=True)

    with pytest.raises(CheckpointError, match="no/such/folder"):
        embedding.get_query_embedding("cat")


def test_too_many_dimensions_are_refused() -> None:
    with pytest.raises(InputError, match="dimensions"):
        fake(dimensions=1_000_000).get_query_embedding("cat")


def test_progress_is_shown_on_request_and_only_then(capfd: pytest.CaptureFixture[str]) -> None:
    fake().get_text_embedding_batch(TEXTS)
    assert capfd.readouterr() == ("", "")

    fake(embeddings_cache=SimpleKVStore(), embed_batch_size=2).get_text_embedding_batch(
        TEXTS, show_progress=True
    )
    shown = capfd.readouterr()
    assert shown.out == ""
    assert "4/4" in shown.err
