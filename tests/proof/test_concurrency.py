"""Many callers at once: none wrong, none lost, none hung, and one copy of the weights."""

import asyncio
import itertools
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from bge_components.backends import CheckpointSource
from bge_components.encoders import Encoder, EncoderSettings
from bge_components.pool import ModelPool
from bge_components.rerankers import CrossEncoder, LateInteraction, RerankerSettings
from bge_components.settings import PoolSettings
from support.corpus import mixed

CALLS = 20_000
THREADS, TASKS = 16, 64


@pytest.fixture
def hasty_switches():
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


KINDS = ("query", "document")
"""Queries and documents are computed at the same time on a CPU; without instructions they have the same vectors."""


def fingerprint(values):
    return np.asarray(values, dtype=np.float32).round(4).tobytes()


def make_work(pool):
    """Calls of different kinds, lengths and settings, each with the answer it must give."""
    source, texts = CheckpointSource(model="fake", backend="fake"), mixed(40)
    encoders = [
        Encoder(source, EncoderSettings(max_tokens=most, on_truncation="ignore"), pool)
        for most in (8, 16, 64, 512)
    ]
    late = LateInteraction(Encoder(source, EncoderSettings(on_truncation="ignore"), pool))
    cross = CrossEncoder(source, RerankerSettings(max_tokens=48, on_truncation="ignore"), pool)
    work = [(encoder, text) for encoder in encoders for text in texts]
    pairs = [(texts[i], texts[-i - 1]) for i in range(20)]
    rerank = [(reranker, pair) for reranker in (late, cross) for pair in pairs]
    expected = {}
    for one in (*work, *rerank):
        expected[one] = fingerprint(call(*one))
    return [*work, *rerank], expected


def call(component, what, kind="query"):
    if isinstance(component, Encoder):
        return component.encode([what], kind).dense.values
    return component.score([what])


async def acall(component, what, kind="query"):
    if isinstance(component, Encoder):
        return (await component.aencode([what], kind)).dense.values
    return await component.ascore([what])


def test_threads_and_tasks_with_mixed_settings_get_every_answer_right(hasty_switches):
    with ModelPool(PoolSettings(devices=("cpu",), memo_s=0)) as pool:
        work, expected = make_work(pool)
        numbers, wrong, answered = itertools.count(), [], itertools.count()

        def next_work():
            number = next(numbers)
            return None if number >= CALLS else work[(number * 7919) % len(work)]

        def check(one, values):
            next(answered)
            if fingerprint(values) != expected[one]:
                wrong.append(one)

        def thread():
            while (one := next_work()) is not None:
                check(one, call(*one))

        async def task():
            while (one := next_work()) is not None:
                check(one, await acall(*one))

        async def tasks():
            await asyncio.gather(*(task() for _ in range(TASKS)))

        workers = [threading.Thread(target=thread) for _ in range(THREADS)]
        workers.append(threading.Thread(target=lambda: asyncio.run(tasks())))
        for worker in workers:
            worker.start()
        deadline = time.monotonic() + 240
        for worker in workers:
            worker.join(max(0.0, deadline - time.monotonic()))
        assert not any(worker.is_alive() for worker in workers), "a caller hangs"
        assert next(answered) == CALLS
        assert not wrong
        assert all(model.leases == 0 for model in pool.stats().models)


@pytest.mark.parametrize(
    ("dtype", "tolerance"), [("float32", 1e-6), ("bfloat16", 1e-3), ("int8", 1e-3)], ids=str
)
def test_a_real_network_answers_right_under_many_threads_and_tasks(
    dtype, tolerance, hasty_switches, tiny_bert
):
    with ModelPool(PoolSettings(devices=("cpu",), memo_s=0)) as pool:
        source, texts = CheckpointSource(model=str(tiny_bert), dtype=dtype), mixed(30)
        encoders = [
            Encoder(source, EncoderSettings(max_tokens=most, on_truncation="ignore"), pool)
            for most in (12, 40, 512)
        ]
        work = [(encoder, text) for encoder in encoders for text in texts]
        expected = {one: call(*one)[0] for one in work}
        alike = np.stack([expected[encoders[-1], text] for text in texts])
        assert np.sort(alike @ alike.T, axis=1)[:, -2].max() < 1 - 2 * tolerance  # another's answer is told
        wrong = []

        def thread(start):
            for i in range(60):
                one = work[(start * 31 + i * 17) % len(work)]
                if call(*one, KINDS[i % 2])[0] @ expected[one] < 1 - tolerance:
                    wrong.append(one)

        async def task(start):
            for i in range(15):
                one = work[(start * 37 + i * 13) % len(work)]
                if (await acall(*one, KINDS[i % 2]))[0] @ expected[one] < 1 - tolerance:
                    wrong.append(one)

        async def tasks():
            await asyncio.gather(*(task(start) for start in range(TASKS)))

        workers = [threading.Thread(target=thread, args=(i,)) for i in range(THREADS)]
        workers.append(threading.Thread(target=lambda: asyncio.run(tasks())))
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join(120)
        assert not any(worker.is_alive() for worker in workers)
        assert not wrong


ONE_COPY = """
import gc, psutil
from bge_components import shared_pool
from bge_components.langchain import BGEEmbeddings, BGEReranker
from bge_components.llama_index import BGEEmbedding
from bge_components.llama_index import BGEReranker as NodeReranker
from langchain_core.documents import Document
from llama_index.core.schema import NodeWithScore, TextNode

texts = ["the pool lends a model", "bamboo is eaten by pandas", "a lease keeps a model loaded"]
BGEEmbeddings(model="mini").embed_query("warm up")
BGEReranker(model="mini").compress_documents([Document(page_content=t) for t in texts], "warm up")
gc.collect()
before = psutil.Process().memory_info().rss
embedding = BGEEmbedding(model_name="mini")
embedding.get_text_embedding_batch(texts)
nodes = [NodeWithScore(node=TextNode(text=t)) for t in texts]
NodeReranker(model="mini").postprocess_nodes(nodes, query_str="what eats bamboo?")
for _ in range(4):
    BGEEmbeddings(model="mini").embed_documents(texts)
    BGEReranker(model="mini").compress_documents([Document(page_content=t) for t in texts], "who lends?")
gc.collect()
grown = psutil.Process().memory_info().rss - before
stats = shared_pool().stats()
print(len(stats.models), stats.loads, stats.nbytes, grown)
"""


def test_both_frameworks_and_both_rerankers_share_one_copy_of_the_weights():
    pytest.importorskip("psutil")
    pytest.importorskip("langchain_core")
    pytest.importorskip("llama_index.core")
    done = subprocess.run([sys.executable, "-c", ONE_COPY], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
    models, loads, nbytes, grown = map(int, done.stdout.split())
    assert (models, loads) == (1, 1)
    assert nbytes > 20e6
    assert grown < nbytes / 2, "something holds a second copy"
