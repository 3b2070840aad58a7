"""The machine that numbers are measured on: what it is, and how fast its own matrix products are."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from statistics import median

import torch
import torch.nn.functional as F
from torch import Tensor

from .. import __version__
from .records import Machine
from .shapes import Shape

ROWS = 2048
"""Tokens in the products that are timed: about those of our batches."""
DTYPES: Mapping[str, torch.dtype] = {"float32": torch.float32, "bfloat16": torch.bfloat16}

_FLAGS = (
    "avx2",
    "avx512f",
    "avx512_vnni",
    "avx512_bf16",
    "amx_bf16",
    "amx_int8",
    "asimd",
    "sve",
    "bf16",
    "i8mm",
)
_PACKAGES = ("torch", "transformers", "tokenizers", "numpy")
LIMIT = "ONEDNN_MAX_CPU_ISA"
"""Environment variable that keeps oneDNN, and with it torch's products, from newer instruction sets."""
_NO_AMX = ("amx",)
_NO_BF16 = (*_NO_AMX, "avx512_bf16")
_NO_INT8 = (*_NO_BF16, "avx512_vnni")
_LIMITS: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(("AVX512_CORE_BF16", "AVX512_CORE_FP16", "AVX10_1_512"), _NO_AMX),
    "AVX512_CORE_VNNI": _NO_BF16,
    **dict.fromkeys(("AVX2_VNNI", "AVX2_VNNI_2"), _NO_INT8),
    **dict.fromkeys(("SSE41", "AVX", "AVX2", "AVX512_CORE"), (*_NO_INT8, "avx_vnni")),
}
"""Its values, and how the flags begin that it turns off; what else it may be leaves bf16 and int8 as they are."""
_CPU_INFO = Path("/proc/cpuinfo")
_MEMORY_INFO = Path("/proc/meminfo")
_LEAST_RUNS = 3
_LEAST_S = 0.15


def describe(shapes: Sequence[Shape], threads: int) -> Machine:
    """Give the facts of this machine, and the peaks of the shapes' products with this many threads.

    They are measured on a thread that ends, and OpenMP's threads with it: a process that has more of those than cores
    lets them sleep, and what is measured afterwards would be slower.
    """
    with ThreadPoolExecutor(1) as brief:
        peaks = brief.submit(matmul_peaks, shapes, tuple(DTYPES), threads).result()
    return Machine(facts=facts(threads), peaks=peaks)


def facts(threads: int) -> dict[str, str]:
    """Give what the machine is, name to text, in reading order."""
    known = _cpu_info()
    flags = processor_flags()
    found = {
        "processor": known.get("model name") or platform.processor() or platform.machine(),
        "cores": f"{len(cores())} of {os.cpu_count()}",
        "instruction sets": " ".join(flag for flag in _FLAGS if flag in flags) or "not known",
        **({LIMIT: os.environ[LIMIT]} if LIMIT in os.environ else {}),
        "cache": known.get("cache size", "not known"),
        "memory": f"{_memory_bytes('MemTotal') / 2**30:.1f} GiB",
        "system": platform.platform(),
        "python": platform.python_version(),
        "threads": f"{threads}, OMP_WAIT_POLICY={os.environ.get('OMP_WAIT_POLICY', 'not set')}",
        "bge_components": __version__,
    }
    return {**found, **{name: metadata.version(name) for name in _PACKAGES}}


def cores() -> set[int]:
    """Give the cores that this process may use."""
    return os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set(range(os.cpu_count() or 1))


def processor_flags() -> frozenset[str]:
    """Give the names of the instruction sets that Linux knows of the processor; none elsewhere.

    Those for bf16 and int8 that `LIMIT` turns off are left out.
    """
    known = _cpu_info()
    turned_off = _LIMITS.get(os.environ.get(LIMIT, "").upper(), ())
    flags = (known.get("flags") or known.get("Features") or "").split()
    return frozenset(flag for flag in flags if not flag.startswith(turned_off))


def available_bytes() -> int:
    """Give the memory that programs can still get; 0 if that is not known."""
    return _memory_bytes("MemAvailable")


def matmul_peaks(shapes: Sequence[Shape], dtypes: Sequence[str], threads: int) -> dict[str, float]:
    """Measure the products of one layer of each shape.

    Args:
        shapes: Shapes of equal products are measured once.
        dtypes: Of `DTYPES`.
        threads: Threads of a product.

    Returns:
        "<shape> <dtype>" to GFLOP/s over the four products, each by the fastest of the ways that torch has.
    """
    measured: dict[tuple[object, str], float] = {}
    with _threads(threads), torch.inference_mode():
        for shape in shapes:
            for dtype in dtypes:
                key = (shape.products(), dtype)
                if key not in measured:
                    measured[key] = _rate(shape, DTYPES[dtype])
    return {
        f"{shape.name} {dtype}": measured[shape.products(), dtype] for shape in shapes for dtype in dtypes
    }


def _rate(shape: Shape, dtype: torch.dtype) -> float:
    flops = sum(2.0 * ROWS * rows * columns for rows, columns in shape.products())
    return flops / sum(_seconds(rows, columns, dtype) for rows, columns in shape.products()) / 1e9


def _seconds(rows: int, columns: int, dtype: torch.dtype) -> float:
    given = torch.randn(ROWS, columns).to(dtype)
    weight, bias = torch.randn(rows, columns).to(dtype), torch.randn(rows).to(dtype)
    return min(_median_seconds(way) for way in _ways(given, weight, bias))


def _ways(given: Tensor, weight: Tensor, bias: Tensor) -> Iterator[Callable[[], Tensor]]:
    """Give the product as users call it, and with a weight that was packed before, where this torch can."""
    yield lambda: F.linear(given, weight, bias)
    try:
        packed = torch.ops.mkldnn._reorder_linear_weight(weight, ROWS)
        one_dnn = torch.ops.mkldnn._linear_pointwise
        one_dnn(given, packed, bias, "none", [], "")
    except (AttributeError, RuntimeError):
        return
    yield lambda: one_dnn(given, packed, bias, "none", [], "")


def _median_seconds(product: Callable[[], Tensor]) -> float:
    product()
    times: list[float] = []
    end = time.perf_counter() + _LEAST_S
    while time.perf_counter() < end or len(times) < _LEAST_RUNS:
        started = time.perf_counter()
        product()
        times.append(time.perf_counter() - started)
    return median(times)


@contextmanager
def _threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _cpu_info() -> dict[str, str]:
    """Give what Linux says of the first processor; nothing elsewhere."""
    found: dict[str, str] = {}
    for line in _lines(_CPU_INFO):
        name, _, value = line.partition(":")
        found.setdefault(name.strip(), value.strip())
    return found


def _memory_bytes(name: str) -> int:
    for line in _lines(_MEMORY_INFO):
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    return 0


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
