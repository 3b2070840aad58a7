"""Adding, deleting and searching at once, from threads and tasks: no error, and nothing deleted comes back."""

import asyncio
import random
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from bge_components.backends.fake import FakeSource
from bge_components.encoders import Encoder, EncoderSettings
from bge_components.pool import ModelPool
from bge_components.retrieval import Document, HybridIndex, MemoryEngine, QueryPlan
from bge_components.settings import PoolSettings

WRITERS, SEARCHERS, TASKS, ROUNDS = 3, 4, 16, 12


def memory(folder):
    return MemoryEngine()


def edge(folder):
    pytest.importorskip("qdrant_edge")
    from bge_components.retrieval.engines.edge import EdgeEngine

    return EdgeEngine(folder)


@pytest.fixture
def hasty_switches():
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-4)
    yield
    sys.setswitchinterval(before)


@pytest.fixture(params=[memory, edge])
def index(request, tmp_path):
    with ModelPool(PoolSettings(devices=("cpu",))) as pool:
        encoder = Encoder(FakeSource("fake"), EncoderSettings(on_truncation="ignore"), pool)
        with HybridIndex(encoder, request.param(tmp_path / "index"), plan=QueryPlan(top_k=30)) as index:
            index.add([Document(id=f"stays {n}", text=f"river stone {n}") for n in range(30)])
            yield index


class Graveyard:
    """Ids whose deletion was acknowledged."""

    def __init__(self):
        self._ids = set()
        self._lock = threading.Lock()

    def bury(self, ids):
        with self._lock:
            self._ids |= set(ids)

    def now(self):
        with self._lock:
            return set(self._ids)


def write(index, graves, name):
    for number in range(ROUNDS):
        documents = [Document(id=f"{name} {number} {n}", text=f"river {name} {n}") for n in range(8)]
        index.add(documents)
        index.upsert([Document(id=documents[0].id, text=f"river again {number}")])
        ids = [document.id for document in documents]
        index.delete(ids)
        graves.bury(ids)


def search(index, graves, stop):
    searches = 0
    while not stop.is_set() or not searches:
        gone = graves.now()
        found = {hit.id for hit in index.search(random.choice(["river", "stone", "again"]))}
        assert found
        assert not found & gone
        searches += 1
    return searches


async def search_and_count(index, graves):
    for _ in range(ROUNDS):
        gone = graves.now()
        hits = await index.asearch("river stone")
        assert not {hit.id for hit in hits} & gone
        assert await index.acount() >= 30


def test_writers_and_searchers_do_not_disturb_each_other(index, hasty_switches):
    graves, stop = Graveyard(), threading.Event()
    with ThreadPoolExecutor(WRITERS + SEARCHERS) as threads:
        searching = [threads.submit(search, index, graves, stop) for _ in range(SEARCHERS)]
        writing = [threads.submit(write, index, graves, f"writer {n}") for n in range(WRITERS)]

        async def tasks():
            await asyncio.gather(*(search_and_count(index, graves) for _ in range(TASKS)))

        try:
            asyncio.run(asyncio.wait_for(tasks(), 120))
            for writer in writing:
                writer.result(120)
        finally:
            stop.set()
        assert all(searcher.result(60) for searcher in searching)
    assert index.count() == 30
    assert {hit.id for hit in index.search("river stone")} == {f"stays {n}" for n in range(30)}


def test_writers_of_one_document_leave_one_whole_version(index):
    def rewrite(number):
        index.upsert([Document(id="contested", text=f"river version {number}", metadata={"version": number})])

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(rewrite, range(40)))
    document = index.get(["contested"])[0]
    assert document.text == f"river version {document.metadata['version']}"
    assert index.count() == 31
