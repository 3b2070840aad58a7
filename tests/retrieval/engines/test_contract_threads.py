"""Every engine from many threads at once."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import Any

import numpy as np

from bge_components.retrieval.contracts import Engine, PointId
from bge_components.retrieval.filters import Equals
from support.engines import point, random_points, random_vectors

ROUNDS = 25


def test_nothing_deleted_comes_back_while_others_add_and_search(engine: Engine) -> None:
    engine.upsert(random_points(engine, 100))
    gone: set[PointId] = set()
    done = Event()

    def add(name: str) -> None:
        rng = np.random.default_rng(len(name))
        for number in range(ROUNDS):
            engine.upsert(
                [
                    point(engine, f"{name}-{number}-{part}", {"n": number}, **random_vectors(rng))
                    for part in "abc"
                ]
            )

    def delete() -> None:
        for number in range(0, 100, 2):
            id = engine.point_id(f"doc-{number}")
            engine.delete([id])
            gone.add(id)
            assert engine.get([id]) == [None]
        engine.delete_where(Equals("even", True))

    def search(seed: int) -> None:
        rng = np.random.default_rng(seed)
        while not done.is_set():
            vectors, before = random_vectors(rng), set(gone)
            for channel in ("dense", "sparse", "bm25"):
                found = engine.search(channel, vectors[channel], 500)
                assert not set(found.ids) & before
                assert np.all(np.diff(found.scores) <= 0)
            assert np.isnan(engine.score("multi", vectors["multi"], sorted(before, key=str))).all()
            assert engine.count() >= 50

    run_together([lambda: add("x"), lambda: add("yy"), delete], [lambda: search(1), lambda: search(2)], done)
    assert engine.count() == 50 + 2 * 3 * ROUNDS


def test_a_replaced_point_is_always_there_in_one_version_or_the_other(engine: Engine) -> None:
    ones = np.ones(16, np.float32)
    engine.upsert([point(engine, "a", {"version": 0}, text="0", dense=ones)])
    done = Event()

    def replace() -> None:
        for version in range(1, 40):
            engine.upsert([point(engine, "a", {"version": version}, text=str(version), dense=ones)])

    def look() -> None:
        while not done.is_set():
            assert engine.search("dense", ones, 5).ids == [engine.point_id("a")]
            found = engine.get([engine.point_id("a")])[0]
            assert found is not None
            assert found.passage.text == str(found.passage.metadata["version"])

    run_together([replace], [look, look], done)
    assert engine.count() == 1


def run_together(works: list[Callable[[], Any]], watches: list[Callable[[], Any]], done: Event) -> None:
    with ThreadPoolExecutor(len(works) + len(watches)) as threads:
        watching = [threads.submit(watch) for watch in watches]
        working = [threads.submit(work) for work in works]
        try:
            for future in working:
                future.result(timeout=60)
        finally:
            done.set()
        for future in watching:
            future.result(timeout=60)
