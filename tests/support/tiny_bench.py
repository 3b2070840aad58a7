"""A benchmark small enough for tests: tiny checkpoints, a text of its own, moments instead of seconds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from bge_components.bench.records import Machine
from bge_components.bench.shapes import of_checkpoint
from bge_components.bench.suite import Bench

WORDS = "the pool lends a model to many callers and one thread computes what waits while new texts arrive "


FORMS = {"float32": "fp32", "bfloat16": "fp32"}
"""Names for the number formats in which tests may find themselves: one, whatever the processor has."""


def tiny_bench(work: Path, *checkpoints: Path, **settings: Any) -> Bench:
    shapes = [of_checkpoint(str(folder)) for folder in checkpoints]
    fields: dict[str, Any] = {
        "shapes": shapes,
        "systems": (),
        "interpreters": {},
        "missing": {},
        "machine": Machine(facts={}, peaks={f"{shape.name} float32": 1.0 for shape in shapes}),
        "work": work,
        "corpus": corpus(work / "corpus"),
        "rounds": 2,
        "seconds": 0.05,
        "threads": 1,
        "quick": True,
    }
    return Bench(**{**fields, **settings})


def corpus(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps({"_id": str(n), "text": f"{n} {WORDS * 20}"}) for n in range(40)]
    (folder / "corpus.jsonl").write_text("\n".join(lines))
    return folder
