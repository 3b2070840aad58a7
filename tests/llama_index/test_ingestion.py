from __future__ import annotations

import multiprocessing
from typing import Any

import pytest
from llama_index.core.ingestion import IngestionCache, IngestionPipeline
from llama_index.core.schema import TextNode

from bge_components import ModelPool
from bge_components.llama_index import BGEEmbedding

TEXTS = [f"passage number {number}" for number in range(6)]


def nodes() -> list[TextNode]:
    return [TextNode(text=text, id_=text) for text in TEXTS]


def fake(**settings: Any) -> BGEEmbedding:
    return BGEEmbedding(backend="fake", **settings)


@pytest.mark.parametrize(
    "other",
    [
        {"embed_batch_size": 3},
        {"device": "cpu"},
        {"num_workers": 2},
        {"timeout_s": 60.0},
        {"local_files_only": True},
        {"max_tokens": None},
    ],
    ids=str,
)
def test_the_ingestion_cache_is_hit_after_a_change_that_changes_no_vector(
    pool: ModelPool, other: dict[str, Any]
) -> None:
    cache = IngestionCache()
    first = IngestionPipeline(transformations=[fake()], cache=cache).run(nodes=nodes())
    sequences = pool.stats().devices[0].sequences

    again = IngestionPipeline(transformations=[fake(**other)], cache=cache).run(nodes=nodes())

    assert pool.stats().devices[0].sequences == sequences
    assert [node.embedding for node in again] == [node.embedding for node in first]
    assert len(cache.cache.get_all(cache.collection)) == 1


@pytest.mark.parametrize(
    "other",
    [{"document_instruction": "keep: "}, {"dimensions": 4}, {"normalize": False}, {"max_tokens": 5}],
    ids=str,
)
def test_the_ingestion_cache_is_missed_after_a_change_that_changes_vectors(
    pool: ModelPool, other: dict[str, Any]
) -> None:
    cache = IngestionCache()
    IngestionPipeline(transformations=[fake()], cache=cache).run(nodes=nodes())

    IngestionPipeline(transformations=[fake(**other, on_truncation="ignore")], cache=cache).run(nodes=nodes())

    assert len(cache.cache.get_all(cache.collection)) == 2


async def test_an_awaited_pipeline_gives_the_same(pool: ModelPool) -> None:
    pipeline = IngestionPipeline(transformations=[fake()], disable_cache=True)

    awaited = await pipeline.arun(nodes=nodes())

    assert [node.embedding for node in awaited] == fake().get_text_embedding_batch(TEXTS)


@pytest.mark.skipif(
    multiprocessing.cpu_count() < 2, reason="LlamaIndex starts one worker per processor at most"
)
def test_two_worker_processes_give_the_same(pool: ModelPool) -> None:
    embedding = fake(pool=pool)
    wanted = embedding.get_text_embedding_batch(TEXTS)

    ingested = IngestionPipeline(transformations=[embedding]).run(nodes=nodes(), num_workers=2)

    assert [node.id_ for node in ingested] == TEXTS
    assert [node.embedding for node in ingested] == wanted
    assert embedding.pool is pool
