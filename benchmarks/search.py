"""Measures search as an index grows: latency per engine and plan, what our own layer adds, memory, size, recall.

    python -m benchmarks.search [--sizes 1000 10000 100000] [--engines memory edge qdrant] [--folder DIR]

"qdrant" is the server at QDRANT_URL; its collection is left there.

Vectors are synthetic (speed does not depend on their values, recall does: they lie near a surface of 32 dimensions,
as those of real texts do near one of a few dozen) and no text is encoded, so that the engines and the query plan are
measured and not the network. Every engine searches the same points for the same queries.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from bge_components import Encoder, ModelPool, PoolSettings
from bge_components.backends.fake import FakeSource
from bge_components.retrieval import (
    Engine,
    HybridIndex,
    IndexSettings,
    MemoryEngine,
    Passage,
    Point,
    Query,
    QueryPlan,
    TokenSettings,
)
from bge_components.retrieval.engines.edge import EdgeEngine
from bge_components.retrieval.engines.qdrant import QdrantEngine
from bge_components.vectors import normalized

Array = np.ndarray[Any, Any]
DIM, QUERY_TOKENS, WORDS, VOCABULARY = 384, 24, 50, 30_000
PLANS = {
    "dense": QueryPlan(channels=("dense",), late_interaction=0),
    "dense + sparse, fused": QueryPlan(late_interaction=0),
    "dense + sparse, fused, 100 rescored": QueryPlan(late_interaction=100),
}
BATCH = 500


@dataclass(frozen=True)
class Synthetic:
    """Draws vectors that resemble those of texts; the same ones for the same seed."""

    surface: Array

    @classmethod
    def make(cls) -> Synthetic:
        """Choose the surface that all vectors lie near."""
        return cls(np.random.default_rng(0).normal(size=(32, DIM)))

    def dense(self, random: np.random.Generator, count: int) -> Array:
        """Give unit vectors, shape (count, DIM)."""
        inner = random.normal(size=(count, len(self.surface))) @ self.surface
        return normalized(np.asarray(inner + 0.5 * random.normal(size=(count, DIM)), dtype=np.float32))

    def sparse(self, random: np.random.Generator, count: int) -> list[tuple[Array, Array]]:
        """Give rows of about WORDS ids; small ids are frequent, as words are."""
        drawn = (VOCABULARY * random.random((count, WORDS)) ** 3).astype(np.int32)
        rows = [np.unique(row) for row in drawn]
        return [(ids, random.random(len(ids)).astype(np.float32) + np.float32(0.01)) for ids in rows]

    def tokens(self, random: np.random.Generator, count: int, tokens: int, dim: int) -> Array:
        """Give unit token vectors, shape (count, tokens, dim)."""
        return normalized(random.normal(size=(count, tokens, dim)).astype(np.float32))


class Stopwatch:
    """Stands before an engine and adds up the time spent in it."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.spent_s = 0.0

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._engine, name)
        if name not in ("search", "score", "get"):
            return value

        def timed(*args: Any, **kwargs: Any) -> Any:
            started = time.perf_counter()
            try:
                return value(*args, **kwargs)
            finally:
                self.spent_s += time.perf_counter() - started

        return timed


def main() -> int:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.search",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--sizes", nargs="+", type=int, default=[1_000, 10_000, 100_000])
    parser.add_argument(
        "--engines", nargs="+", choices=("memory", "edge", "qdrant"), default=["memory", "edge"]
    )
    parser.add_argument("--queries", type=int, default=200)
    parser.add_argument("--tokens", type=int, default=30, help="token vectors of each passage")
    parser.add_argument("--token-dim", type=int, default=96, help="their dimensions, below 384: projected")
    parser.add_argument("--folder", type=Path, help="for the embedded engine; a temporary one by default")
    arguments = parser.parse_args()
    print("| points | engine | plan | p50 ms | p99 ms | own layer ms | recall@10 |")
    print("| ---: | --- | --- | ---: | ---: | ---: | ---: |")
    for size in arguments.sizes:
        for name in arguments.engines:
            with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
                _measure(name, Path(folder) / "index", size, arguments)
    return 0


def _measure(name: str, folder: Path, size: int, arguments: argparse.Namespace) -> None:
    with ModelPool(PoolSettings(devices=("cpu",))) as pool:
        source: Any = FakeSource("synthetic", width=DIM)
        engine: Any = Stopwatch(_engine(name, folder))
        settings = IndexSettings(
            channels=("dense", "sparse", "multi"), multi=TokenSettings(dim=arguments.token_dim)
        )
        before = _resident_bytes()
        with HybridIndex(Encoder(source, None, pool), engine, settings) as index:
            index.calibrate([f"word{number} of a sample" for number in range(3200)])
            synthetic = Synthetic.make()
            upsert_s = _timed(lambda: _fill(index.engine, synthetic, size, arguments))
            optimize_s = _timed(index.optimize)
            asked = _queries(synthetic, arguments.queries)
            for plan_name, plan in PLANS.items():
                for query in asked:  # a running service has its pages in memory
                    index.search(query, plan=plan)
                row = _searched(index, engine, asked, plan)
                recall = _recall(index, asked, plan) if plan_name == "dense" else None
                shown = "" if recall is None else f"{recall:.3f}"
                print(f"| {size:,} | {name} | {plan_name} | {' | '.join(row)} | {shown} |", flush=True)
            print(
                f"\n{size:,} in {name}: {size / upsert_s:,.0f} points/s, optimised in {optimize_s:.1f} s, "
                f"{(_resident_bytes() - before) / 2**20:,.0f} MB of memory, {_folder_bytes(folder) / 2**20:,.0f} MB "
                "on disk\n",
                flush=True,
            )
    shutil.rmtree(folder, ignore_errors=True)


def _engine(name: str, folder: Path) -> Engine:
    if name == "memory":
        return MemoryEngine()
    if name == "qdrant":
        return QdrantEngine(f"benchmark-{folder.parent.name}", url=os.environ["QDRANT_URL"])
    return EdgeEngine(folder)


def _fill(engine: Engine, synthetic: Synthetic, size: int, arguments: argparse.Namespace) -> None:
    for batch in _points(engine, synthetic, size, arguments):
        engine.upsert(batch)


def _points(
    engine: Engine, synthetic: Synthetic, size: int, arguments: argparse.Namespace
) -> Iterator[list[Point]]:
    random = np.random.default_rng(1)
    for start in range(0, size, BATCH):
        count = min(BATCH, size - start)
        dense, sparse = synthetic.dense(random, count), synthetic.sparse(random, count)
        multi = synthetic.tokens(random, count, arguments.tokens, arguments.token_dim)
        yield [
            Point(
                id=engine.point_id(f"document {start + place}"),
                passage=Passage(
                    document=f"document {start + place}",
                    text="A passage of ordinary length. " * 20,
                    metadata={"number": start + place},
                ),
                vectors={"dense": dense[place], "sparse": sparse[place], "multi": multi[place]},
            )
            for place in range(count)
        ]


def _queries(synthetic: Synthetic, count: int) -> list[Query]:
    random = np.random.default_rng(2)
    dense, sparse = synthetic.dense(random, count), synthetic.sparse(random, count)
    multi = synthetic.tokens(random, count, QUERY_TOKENS, DIM)
    return [
        Query(
            vectors={
                "dense": dense[place],
                "sparse": (sparse[place][0][:8], sparse[place][1][:8]),
                "multi": multi[place],
            }
        )
        for place in range(count)
    ]


def _searched(index: HybridIndex, engine: Stopwatch, asked: Sequence[Query], plan: QueryPlan) -> list[str]:
    """Give p50, p99 and the median time outside the engine, in milliseconds."""
    totals, own = [], []
    for query in asked:
        engine.spent_s = 0.0
        total = _timed(lambda query=query: index.search(query, plan=plan))  # type: ignore[misc]
        totals.append(total)
        own.append(total - engine.spent_s)
    p99 = sorted(totals)[int(0.99 * (len(totals) - 1))]
    return [f"{1000 * value:.2f}" for value in (statistics.median(totals), p99, statistics.median(own))]


def _recall(index: HybridIndex, asked: Sequence[Query], plan: QueryPlan) -> float:
    """Give the share of the ten exact nearest that the search finds."""
    shares = []
    for query in asked:
        found = {hit.id for hit in index.search(query, plan=plan)}
        exact = {hit.id for hit in index.search(query, plan=replace(plan, exact=True))}
        shares.append(len(found & exact) / max(len(exact), 1))
    return statistics.fmean(shares)


def _timed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1]) if Path("/proc/self/statm").exists() else 0
    return pages * resource.getpagesize()


def _folder_bytes(folder: Path) -> int:
    return sum(path.stat().st_blocks * 512 for path in folder.rglob("*") if path.is_file())


if __name__ == "__main__":
    raise SystemExit(main())
