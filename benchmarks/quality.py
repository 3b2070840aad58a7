"""Prints what every part of the query plan is worth: nDCG@10 on real retrieval sets, exact search.

    python -m benchmarks.quality SET_FOLDER... [--model mini]

A set is a folder in BEIR layout (corpus.jsonl, queries.jsonl, qrels/test.tsv).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path

from bge_components import EncoderSettings, make_encoder
from bge_components.retrieval import (
    Document,
    HybridIndex,
    IndexSettings,
    QueryPlan,
    ReciprocalRank,
    WeightedSum,
)

sys.path.insert(0, str(Path(__file__).parents[1] / "tools"))
from evaluate_retrieval import RetrievalSet, ndcg, read_set

DEPTH = 10


def plans(recalling: tuple[str, ...], *, late: bool) -> dict[str, QueryPlan]:
    """Give the plans to compare: each channel alone, fusions of all, and all with late interaction.

    Args:
        recalling: Channels of the index that recall.
        late: Whether the index keeps token vectors.
    """
    single = {name: QueryPlan(channels=(name,), late_interaction=0) for name in recalling}
    only_late = WeightedSum(weights={**dict.fromkeys(recalling, 0.0), "multi": 1.0})
    return {
        **single,
        **({"late interaction": QueryPlan(fusion=only_late)} if late else {}),
        "fused, reciprocal rank": QueryPlan(late_interaction=0, fusion=ReciprocalRank()),
        "fused, min-max": QueryPlan(late_interaction=0, fusion=WeightedSum(normalization="min-max")),
        "fused": QueryPlan(late_interaction=0),
        **({"fused + late interaction": QueryPlan()} if late else {}),
    }


def measured(
    data: RetrievalSet, model: str = "mini", settings: IndexSettings | None = None
) -> dict[str, float]:
    """Give nDCG@10 of every plan on one set."""
    encoder = make_encoder(model, EncoderSettings(on_truncation="ignore"))
    with HybridIndex(encoder, settings=settings or IndexSettings(long_documents="cut")) as index:
        index.add(Document(id=name, text=text) for name, text in data.passages.items())
        channels = index.stats()["channels"]
        recalling = tuple(name for name in channels if name != "multi")
        compared = plans(recalling, late="multi" in channels)
        return {name: mean_ndcg(index, data, plan) for name, plan in compared.items()}


def mean_ndcg(index: HybridIndex, data: RetrievalSet, plan: QueryPlan) -> float:
    """Search for every query of the set and average nDCG@10."""
    found = index.search_batch(list(data.queries.values()), plan=plan, top_k=DEPTH)
    gains = [ndcg([hit.id for hit in hits], data.judged[query]) for query, hits in zip(data.queries, found)]
    return sum(gains) / len(gains)


def main() -> int:
    """Print one table for all sets."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.quality", description=__doc__)
    parser.add_argument("sets", nargs="+", type=Path, help="folders in BEIR layout")
    parser.add_argument("--model", default="mini")
    arguments = parser.parse_args()
    rows = {
        path.name if len(path.name) > 2 else f"{path.parent.name}-{path.name}": path
        for path in arguments.sets
    }
    print_table({name: measured(read_set(path), arguments.model) for name, path in rows.items()})
    return 0


def print_table(results: Mapping[str, Mapping[str, float]]) -> None:
    """Print sets as columns and plans as rows."""
    names = list(dict.fromkeys(plan for of_set in results.values() for plan in of_set))
    print("| nDCG@10 | " + " | ".join(results) + " |")
    print("| --- |" + " ---: |" * len(results))
    for plan in names:
        cells = (f"{of_set[plan]:.4f}" if plan in of_set else "" for of_set in results.values())
        print(f"| {plan} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    raise SystemExit(main())
