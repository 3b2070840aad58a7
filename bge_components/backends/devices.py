"""Which devices there are, how much memory they have, and which number format suits them."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from functools import lru_cache, partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from ..contracts import DTypeName
from ..errors import InputError
from ..settings import chosen_dtype
from .first_import import ensure_torch

if TYPE_CHECKING:
    import torch

_GUESSED_BYTES = 8 * 2**30
_CGROUP_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
_BF16_SETS = (("AMX", "_is_amx_tile_supported"), ("AVX-512 BF16", "_is_avx512_bf16_supported"))
"""What a processor may have for products in bf16, the fastest first, and how torch is asked for it."""
_ENOUGH_GAIN = 1.2
_TRIALS = 40
_TRIAL_ROWS, _TRIAL_WIDTH = 256, 768


def available_devices() -> tuple[str, ...]:
    """Give all CUDA GPUs as torch spells them, else the CPU. Others (mps) must be asked for by name."""
    if find_spec("torch") is None:
        return ("cpu",)  # the fake backend runs without
    ensure_torch()
    import torch

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    return tuple(f"cuda:{index}" for index in range(count)) or ("cpu",)


def checked_device(device: str) -> str:
    """Give the device back if torch has it.

    Raises:
        InputError: If there is no such device here; the message names those there are.
    """
    if device.partition(":")[0] == "cpu":
        return device
    ensure_torch()
    import torch

    if getattr(torch.cuda, "_is_in_bad_fork", bool)():
        return device  # loading explains that a forked child cannot use it
    try:
        torch.empty(1, device=device)
    except torch.OutOfMemoryError:
        return device  # it is there, and full: loading says so
    except (RuntimeError, AssertionError, ValueError, NotImplementedError) as error:
        found = ", ".join(dict.fromkeys((*available_devices(), "cpu")))
        raise InputError(f"device {device!r} cannot be used: torch finds only {found} here") from error
    return device


def device_memory_bytes(device: str) -> int:
    """Give the memory of a GPU, or for anything else the main memory that this process may use.

    A container's limit counts. Where the system does not tell (Windows), 8 GiB are assumed.
    """
    if device.startswith("cuda"):
        ensure_torch()
        import torch

        return int(torch.cuda.get_device_properties(torch.device(device)).total_memory)
    try:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return _GUESSED_BYTES
    return min([total, *_container_limits()])


def resolve_dtype(asked: DTypeName, device: str) -> tuple[str, str]:
    """Choose the number format of the matrix products.

    "auto" takes BGE_DTYPE if that is set. On CUDA it is bf16, or fp16 where the card has no bf16. On a CPU it
    is bf16 where the processor has products in it (AMX tiles, or AVX-512 BF16 as AMD's since Zen 4 have) and a short
    trial confirms that they are faster, else fp32.
    fp16 on a CPU becomes fp32: processors without fp16 arithmetic emulate it, slower and less exact, and
    settings written for a GPU should run on a laptop too. int8 is for CPUs only, and never chosen by "auto".

    Returns:
        Name ("float32", "bfloat16", "float16" or "int8") and the reason for it.

    Raises:
        InputError: If `asked` is no such name, or int8 is asked for on a GPU.
    """
    if asked not in ("auto", "float32", "bfloat16", "float16", "int8"):
        raise InputError(f"dtype must be auto, float32, bfloat16, float16 or int8, got {asked!r}")
    kind = device.partition(":")[0]
    told, by = (asked, "asked for") if asked != "auto" else (chosen_dtype(), "BGE_DTYPE")
    if told == "float16" and kind == "cpu":
        return "float32", f"float16 ({by}) is slow and less exact on a CPU"
    if told == "int8":
        return told, _reason_for_int8(by, device)
    if told != "auto":
        return told, by
    if kind == "cuda":
        return _fastest_on_cuda(device)
    return _fastest_on_cpu() if kind == "cpu" else ("float32", f"safe on {kind}")


def _reason_for_int8(by: str, device: str) -> str:
    """Say what processes int8 on a CPU.

    Raises:
        InputError: If the device is no CPU.
    """
    if device.partition(":")[0] != "cpu":
        raise InputError(
            f"dtype int8 ({by}) is for CPUs, and the device is {device!r}: ask for 'auto', 'bfloat16' or 'float16' "
            "there, or for device='cpu'"
        )
    ensure_torch()
    import torch

    for name, question in (("AMX", "_is_amx_tile_supported"), ("VNNI", "_is_vnni_supported")):
        if getattr(torch.cpu, question, bool)():
            return f"int8 {by}; the processor has {name} for it"
    return f"int8 {by}; torch finds neither VNNI nor AMX in this processor: it may be slower than float32"


def _container_limits() -> list[int]:
    limits = []
    for name in _CGROUP_LIMITS:
        try:
            limits.append(int(Path(name).read_text(encoding="ascii")))
        except (OSError, ValueError):
            continue  # no such limit, or "max"
    return limits


def _fastest_on_cuda(device: str) -> tuple[str, str]:
    ensure_torch()
    import torch

    major, minor = torch.cuda.get_device_capability(torch.device(device))
    if major >= 8:
        return "bfloat16", f"compute capability {major}.{minor} has bfloat16"
    return "float16", f"compute capability {major}.{minor} has no bfloat16"


@lru_cache(maxsize=1)
def _fastest_on_cpu() -> tuple[str, str]:
    ensure_torch()
    import torch

    found = [name for name, question in _BF16_SETS if getattr(torch.cpu, question, bool)()]
    if not found:
        return "float32", "the processor has no products in bfloat16 (neither AMX tiles nor AVX-512 BF16)"
    from .workers import run_side_by_side  # imports torch

    # On one thread: what else the machine does, it then does to both formats.
    (gain,) = run_side_by_side([_bf16_gain])
    if gain <= _ENOUGH_GAIN:
        return "float32", f"bfloat16 is only {gain:.1f} times as fast on this processor"
    return "bfloat16", f"{found[0]}: bfloat16 is {gain:.1f} times as fast on this processor"


def _bf16_gain() -> float:
    """Time matrix products of the shapes of a small encoder in both formats, in turns; the best of each counts.

    On a quiet machine four trials are enough. On a busy one a trial may be spent waiting for a core, so trials go on
    until bf16 has shown its gain, or for some 50 ms.
    """
    import torch

    best = {torch.float32: float("inf"), torch.bfloat16: float("inf")}
    with torch.inference_mode():
        products = {kind: _trial_product(kind) for kind in best}
        for trial in range(_TRIALS):
            for kind, product in products.items():
                started = time.perf_counter()
                product()
                if trial:  # the first one warms up
                    best[kind] = min(best[kind], time.perf_counter() - started)
            if trial > 3 and best[torch.float32] > _ENOUGH_GAIN * best[torch.bfloat16]:
                break
    return best[torch.float32] / best[torch.bfloat16]


def _trial_product(kind: torch.dtype) -> Callable[[], object]:
    """Give a product as networks here compute it: plain ones in fp32 are several times slower on some processors."""
    import torch

    from .products import Linear, PackedLinear  # imports torch

    layer = Linear(_TRIAL_WIDTH, _TRIAL_WIDTH).to(kind)
    for parameter in layer.parameters():
        parameter.fill_(1)
    rows = torch.ones(_TRIAL_ROWS, _TRIAL_WIDTH).to(kind)
    try:
        return partial(PackedLinear(layer).product, rows, "trial")
    except (RuntimeError, AttributeError, NotImplementedError):
        return partial(layer.product, rows, "trial")
