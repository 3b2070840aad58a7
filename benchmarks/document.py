"""Puts a run of the benchmark into the documents: the results file, the pictures, and the tables made of it.

    bge bench --out results.json
    python -m benchmarks.gpu --out gpu.json
    python -m benchmarks.document results.json gpu.json

`--check` writes nothing, measures nothing and draws nothing: it says whether the pictures show the results that are
in docs/. Whether the tables do is said by `make check`.
"""

from __future__ import annotations

import argparse
import hashlib
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from bge_components.bench.records import Results, joined
from bge_components.errors import InputError

from .gpu_setting import DEVICE
from .pictures import draw_all, stamped
from .tables import GPU_RESULTS, RESULTS

DOCS = RESULTS.parent
_TABLES = Path(__file__).parents[1] / "tools" / "check_docs.py"


def main(arguments: Sequence[str]) -> int:
    """Write or check the documents; give the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.document",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "results",
        type=Path,
        nargs="*",
        default=[RESULTS],
        help="what `bge bench --out` or benchmarks.gpu wrote; several runs of one machine are put together",
    )
    parser.add_argument(
        "--check", action="store_true", help="write nothing; say whether the pictures are in step"
    )
    options = parser.parse_args(arguments)
    if options.check:
        return _told(stale_pictures(DOCS))
    try:
        written = publish([Results.read(path) for path in options.results], DOCS)
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    for path in written:
        print(path)
    return subprocess.run([sys.executable, str(_TABLES), "--write"], check=False).returncode


def publish(runs: Sequence[Results], docs: Path) -> list[Path]:
    """Write the results files and the pictures into a folder of documents; give what was written.

    Runs of GPUs have a file of their own. Where there is no run of either kind, its file stays as it is.

    Raises:
        InputError: If runs of one kind are of different machines.
    """
    kinds: dict[str, list[Results]] = {}
    for run in runs:
        kinds.setdefault(GPU_RESULTS.name if _of_a_gpu(run) else RESULTS.name, []).append(run)
    found = {docs / name: joined(some) for name, some in kinds.items()}
    pictures: list[Path] = []
    for path, results in found.items():
        results.write(path)
        if path.name == RESULTS.name:
            pictures = draw_all(results, docs / "pictures", stamp(path))
    return [*found, *pictures]


def stale_pictures(docs: Path) -> list[Path]:
    """Give the pictures that benchmarks.md shows and that are missing, or were drawn from other results."""
    text = (docs / "benchmarks.md").read_text(encoding="utf-8")
    shown = [
        docs / "pictures" / f"{part.partition('.svg)')[0]}.svg" for part in text.split("](pictures/")[1:]
    ]
    return [path for path in shown if not stamped(path, stamp(docs / RESULTS.name))]


def stamp(results: Path) -> str:
    """Give what tells one results file from another."""
    return f"made of results {hashlib.sha256(results.read_bytes()).hexdigest()[:16]}"


def _of_a_gpu(run: Results) -> bool:
    return DEVICE in run.machine.facts


def _told(stale: Sequence[Path]) -> int:
    for path in stale:
        print(f"{path}: out of step, run `python -m benchmarks.document`", file=sys.stderr)
    if not stale:
        print("pictures: every one shows the results in docs")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
