"""A program that writes into an embedded index until it is killed, and says before and after each write what it does.

python -m support.edge_writer FOLDER FIRST_DOCUMENT [OPTIMIZING]

OPTIMIZING is how often it optimises, from 0 to 1; if it is given, always in a process of its own.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Sequence

import numpy as np

from bge_components.contracts import Float32
from bge_components.retrieval.contracts import Channel, ChannelKind, Passage, Point
from bge_components.retrieval.engines.edge import EdgeEngine, optimizing
from bge_components.retrieval.engines.edge.settings import EdgeSettings

CHANNELS = [
    Channel(name="dense", kind=ChannelKind.DENSE, dim=16),
    Channel(name="sparse", kind=ChannelKind.SPARSE, idf=True),
    Channel(name="multi", kind=ChannelKind.MULTI, dim=4, storage="float16"),
]
SETTINGS = EdgeSettings(hnsw_from_points=200)
"""So few that graphs are being built when it is killed."""


def dense(number: int) -> Float32:
    """Give the direction of a document."""
    vector = np.random.default_rng(number).normal(size=16).astype(np.float32)
    return vector / np.linalg.norm(vector)


def point(engine: EdgeEngine, number: int, version: int) -> Point:
    """Give a document in one of its versions; version and number are in every part of it."""
    return Point(
        id=engine.point_id(f"doc-{number}"),
        passage=Passage(
            document=f"doc-{number}",
            text=f"{number} {version} " * 20,
            metadata={"number": number, "version": version},
            digest=f"{number}-{version}",
        ),
        vectors={
            "dense": dense(number),
            "sparse": (np.array([number + 1], np.int32), np.array([1.0 + version], np.float32)),
            "multi": np.full((3, 4), 1.0 + version, np.float32),
        },
    )


def write(folder: str, first: int, optimizing_share: float) -> None:
    """Store ten documents, replace three, delete one, keep a manifest; flush and optimise now and then; again."""
    engine = EdgeEngine(folder, SETTINGS)
    engine.open(CHANNELS)
    print("opened", flush=True)
    rng = random.Random(first)
    for start in range(first, sys.maxsize, 10):
        new = range(start, start + 10)
        told("0", new, lambda new=new: engine.upsert([point(engine, number, 0) for number in new]))
        old = rng.sample(range(start + 10), 3)
        told("1", old, lambda old=old: engine.upsert([point(engine, number, 1) for number in old]))
        gone = engine.point_id(f"doc-{start}")
        told("deleted", [start], lambda gone=gone: engine.delete([gone]))
        told("manifest", [start], lambda start=start: engine.keep_manifest({"start": start}))
        if rng.random() < 0.1:
            engine.flush()
        if rng.random() < optimizing_share:
            engine.optimize()


def told(what: str, numbers: Sequence[int], work: Callable[[], None]) -> None:
    """Do something, and say so before and after."""
    print("about", what, *numbers, flush=True)
    work()
    print("done", what, *numbers, flush=True)


if __name__ == "__main__":
    if len(sys.argv) > 3:
        optimizing._QUICK_POINTS = 0
    write(sys.argv[1], int(sys.argv[2]), float((*sys.argv, "0.03")[3]))
