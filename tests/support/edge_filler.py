"""A program that fills an embedded index until there is no room, and then uses it on.

python -m support.edge_filler FOLDER BYTES_PER_TEXT
"""

from __future__ import annotations

import sys
from dataclasses import replace

from bge_components.errors import IndexFullError
from bge_components.retrieval.engines.edge import EdgeEngine

from .edge_writer import CHANNELS, dense, point


def fill(folder: str, bytes_per_text: int) -> None:
    """Store twenty documents at a time until that is refused; then search, delete, flush, and close."""
    engine = EdgeEngine(folder)
    engine.open(CHANNELS)
    start = 0
    while True:
        points = [point(engine, number, 0) for number in range(start, start + 20)]
        long = [replace(one, passage=replace(one.passage, text="x" * bytes_per_text)) for one in points]
        try:
            engine.upsert(long)
        except IndexFullError as error:
            print(f"refused: {error}", flush=True)
            break
        start += 20
    print(start, flush=True)
    assert engine.count() == start
    assert engine.search("dense", dense(7), 1).ids == [engine.point_id("doc-7")]
    engine.delete([engine.point_id("doc-0")])
    engine.keep_manifest({"start": start})
    engine.flush()
    engine.close()


if __name__ == "__main__":
    fill(sys.argv[1], int(sys.argv[2]))
