"""Measures one CUDA device in under ten minutes: speed beside sentence-transformers, and recovery from full memory.

    python -m benchmarks.gpu --out gpu.json

Each part runs in a process of its own with a limit of time, so that one that hangs or crashes costs only itself; the
tests that need a GPU come last. A table goes to stderr, the results as JSON to stdout or `--out`.
Exit codes: 0 all went well; 1 a part or a test failed; 3 there is no CUDA device.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from rich.console import Console

from bge_components.bench.machine import facts
from bge_components.bench.records import Absence, Machine, Measurement, Results
from bge_components.bench.report import tables
from bge_components.bench.workloads.fresh import FreshProcessError, run_fresh

from .gpu_parts import PARTS, PEER
from .gpu_setting import DEVICE, Setting

NO_DEVICE = 3
WHOLE_S = 570.0
TESTS_S = 120.0
"""Kept for the tests; parts end before."""

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True, kw_only=True)
class Clock:
    """How much time is left.

    Attributes:
        ends: When everything has to have ended, by `time.monotonic`.
    """

    ends: float

    def limit_s(self, wanted: float, kept: float = 0.0) -> float:
        """Give what a part may take: what it wants, or what is left before the seconds that are kept for others."""
        return max(0.0, min(wanted, self.ends - kept - time.monotonic()))


def main(arguments: Sequence[str]) -> int:
    """Run everything, or one part in this process (`--part`, as the parts are started); give the exit code."""
    options = _options(arguments)
    setting = Setting(
        device=options.device, tiny=options.tiny, work=options.work, tokenizers=options.tokenizers
    )
    if options.part:
        found = [asdict(one) for one in PARTS[options.part].measure(setting)]
        print(json.dumps({"measurements": found}))
        return 0
    if setting.device.startswith("cuda") and not torch.cuda.is_available():
        print("there is no CUDA device here: this benchmark measures one and nothing else", file=sys.stderr)
        return NO_DEVICE
    if options.work is not None:
        return _whole(setting, options)
    with TemporaryDirectory(prefix="bge-gpu-") as folder:
        options.work = Path(folder)
        return _whole(setting, options)


def _whole(setting: Setting, options: argparse.Namespace) -> int:
    clock = Clock(ends=time.monotonic() + WHOLE_S)
    found = [one for name in PARTS for one in _part(name, options, clock)]
    tests = _tests(options, clock)
    results = Results(
        machine=Machine(facts=_facts(setting, tests), peaks={}),
        measurements=tuple(one for one in found if isinstance(one, Measurement)),
        absences=tuple(one for one in found if isinstance(one, Absence)),
        command="python -m benchmarks.gpu",
    )
    _show(results, options.out)
    return 1 if results.absences or not tests.startswith("passed") else 0


def _part(name: str, options: argparse.Namespace, clock: Clock) -> Iterator[Measurement | Absence]:
    limit_s = clock.limit_s(PARTS[name].limit_s, kept=TESTS_S)
    print(f"{name}: at most {limit_s:.0f} s", file=sys.stderr)
    try:
        done = run_fresh(
            sys.executable,
            ["-m", "benchmarks.gpu", "--part", name, *_passed_on(options)],
            threads=options.threads,
            limit_s=limit_s,
        )
    except FreshProcessError as error:
        yield Absence(workload=name, shape="all", system="all", reason=str(error))
        return
    for one in done.said["measurements"]:
        yield Measurement(**{**one, "seconds": tuple(one["seconds"])})


def _tests(options: argparse.Namespace, clock: Clock) -> str:
    """Run the tests that need a GPU; give "passed" or "failed" with what pytest says last."""
    if options.tiny:
        return "passed: none were asked for"
    command = [sys.executable, "-m", "pytest", "-q", "-k", "cuda or gpu", "tests/backends"]
    try:
        done = subprocess.run(
            command, cwd=ROOT, capture_output=True, text=True, timeout=clock.limit_s(TESTS_S), check=False
        )
    except subprocess.TimeoutExpired as error:
        return f"failed: not ended within {error.timeout:.0f} s"
    said = (done.stdout.strip() or done.stderr.strip() or "nothing").splitlines()
    return f"{'failed' if done.returncode else 'passed'}: {said[-1]}"


def _facts(setting: Setting, tests: str) -> dict[str, str]:
    card = torch.cuda.get_device_properties(setting.device) if setting.device.startswith("cuda") else None
    told = f"{card.name}, {card.total_memory / 2**30:.0f} GiB" if card else f"none: {setting.device}"
    return {
        DEVICE: told,
        "cuda": str(torch.version.cuda),
        **facts(torch.get_num_threads()),
        PEER: _version(PEER),
        "tests": tests,
    }


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"


def _show(results: Results, out: Path | None) -> None:
    console = Console(stderr=True, width=160)
    for one in tables(results):
        console.print(one)
    if out is None:
        print(json.dumps(asdict(results)))
    else:
        results.write(out)


def _passed_on(options: argparse.Namespace) -> list[str]:
    given: dict[str, Any] = {
        "--device": options.device,
        "--work": options.work,
        "--tokenizers": options.tokenizers,
    }
    return [
        *(text for name, value in given.items() if value is not None for text in (name, str(value))),
        *(["--tiny"] if options.tiny else []),
    ]


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gpu",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--out", type=Path, help="write the results here")
    parser.add_argument(
        "--work", type=Path, help="keep checkpoints here; none means a folder that is removed"
    )
    parser.add_argument("--tokenizers", type=Path, help="folder with bert-base-uncased/ and xlm-roberta/")
    parser.add_argument("--threads", type=int, default=8, help="threads of the processor")
    parser.add_argument("--part", choices=PARTS, help=argparse.SUPPRESS)
    parser.add_argument("--device", default="cuda:0", help=argparse.SUPPRESS)
    parser.add_argument("--tiny", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
