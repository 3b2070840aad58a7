from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from langchain_core.documents import Document

from bge_components import ModelPool
from bge_components.langchain import BGECrossEncoder, BGEEmbeddings, BGEReranker

TEXTS = [f"text {n} " + "boils " * (n % 7) for n in range(32)]


class RefusingExecutor(ThreadPoolExecutor):
    def submit(self, *args: Any, **kwargs: Any) -> Future[Any]:
        raise AssertionError("the event loop's default executor was used")


async def use_everything(embeddings: BGEEmbeddings, reranker: BGEReranker, scorer: BGECrossEncoder) -> None:
    documents = [Document(page_content=text) for text in TEXTS]
    assert len(await embeddings.aembed_documents(TEXTS)) == len(TEXTS)
    assert len(await embeddings.aembed_query(TEXTS[0])) == 384
    assert len(await reranker.acompress_documents(documents, "boils")) == 3
    assert len(await scorer.ascore([("boils", text) for text in TEXTS])) == len(TEXTS)


@pytest.fixture
def components() -> tuple[BGEEmbeddings, BGEReranker, BGECrossEncoder]:
    return BGEEmbeddings(model="mini"), BGEReranker(model="mini"), BGECrossEncoder(model="mini")


async def test_the_loops_default_executor_is_never_used(fresh_pool: ModelPool, components: Any) -> None:
    asyncio.get_running_loop().set_default_executor(RefusingExecutor(1))

    await use_everything(*components)

    with pytest.raises(AssertionError, match="default executor"):
        await asyncio.to_thread(print)


async def test_nothing_blocks_the_event_loop_not_even_the_load(
    fresh_pool: ModelPool, components: Any
) -> None:
    blockbuster = pytest.importorskip("blockbuster")

    with blockbuster.blockbuster_ctx():
        await use_everything(*components)


async def test_the_loop_runs_on_while_a_bulk_is_embedded() -> None:
    embeddings = BGEEmbeddings(model="mini")
    ticks, done = 0, asyncio.Event()

    async def tick() -> None:
        nonlocal ticks
        while not done.is_set():
            await asyncio.sleep(0.001)
            ticks += 1

    ticking = asyncio.ensure_future(tick())
    await embeddings.aembed_documents([f"{n} " + "water boils " * 40 for n in range(100)])
    done.set()
    await ticking

    assert ticks > 10


async def test_thirty_two_tasks_get_their_own_vectors() -> None:
    embeddings = BGEEmbeddings(model="mini", dtype="float32")
    expected = embeddings.embed_documents(TEXTS)

    queries, bulks = await asyncio.gather(
        asyncio.gather(*(embeddings.aembed_query(text) for text in TEXTS)),
        asyncio.gather(*(embeddings.aembed_documents([text]) for text in TEXTS)),
    )

    assert np.allclose([bulk[0] for bulk in bulks], expected, atol=1e-5)
    assert np.allclose(queries, [embeddings.embed_query(text) for text in TEXTS], atol=1e-5)


def test_two_event_loops_in_two_threads_share_one_component(fresh_pool: ModelPool) -> None:
    embeddings = BGEEmbeddings(model="mini", dtype="float32")
    found: dict[int, list[list[float]]] = {}

    async def embed_some(part: int) -> list[list[float]]:
        return list(await asyncio.gather(*(embeddings.aembed_query(text) for text in TEXTS[part::2])))

    def run(part: int) -> None:
        found[part] = asyncio.run(embed_some(part))

    threads = [threading.Thread(target=run, args=(part,)) for part in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    for part in range(2):
        assert np.allclose(found[part], [embeddings.embed_query(text) for text in TEXTS[part::2]], atol=1e-5)
    assert fresh_pool.stats().loads == 1


def test_threads_with_different_settings_do_not_disturb_each_other() -> None:
    texts = ["one two three four five six seven eight", "water boils"]
    settings = [{"max_tokens": 6}, {"max_tokens": 64}, {"query_instruction": "q: "}, {"dimensions": 32}]
    components = [
        BGEEmbeddings(model="mini", dtype="float32", on_truncation="ignore", **one) for one in settings
    ]
    alone = [[one.embed_query(text) for text in texts] for one in components]

    with ThreadPoolExecutor(8) as threads:
        calls = [
            (n % 4, threads.submit(lambda one: [one.embed_query(text) for text in texts], components[n % 4]))
            for n in range(64)
        ]

    for which, call in calls:
        assert np.allclose(call.result(), alone[which], atol=1e-5)
