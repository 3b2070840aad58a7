"""What `bge doctor` looks at: one finding per thing that can be right, doubtful or broken."""

from __future__ import annotations

import os
import platform
import re
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from difflib import get_close_matches
from importlib import metadata
from typing import Any, Literal

from .. import __version__
from ..settings import hub_is_offline

Status = Literal["ok", "warn", "fail"]

_REQUIRED = {
    "numpy": ("1.26", ""),
    "torch": ("2.10", "older ones are not tested and lack what the packed forward needs"),
    "transformers": ("5.3", "4.56 to 5.2 carry CVE-2026-4372"),
    "tokenizers": ("0.22", ""),
    "safetensors": ("0.5", ""),
    "huggingface-hub": ("1.0", ""),
}
"""Lowest version of each package, and why."""
_OPTIONAL = {"langchain-core": "1.0", "llama-index-core": "0.14", "FlagEmbedding": "1.4.2"}
_PYTHON = (3, 10)
_DEBUG = "BGE_DEBUG"
_HUB_TIMEOUT_S = 3.0


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that was looked at."""

    name: str
    status: Status
    detail: str
    data: dict[str, Any] = field(default_factory=dict)


def findings(*, ask_hub: bool = True) -> Iterator[Finding]:
    """Look at everything, one after another; nothing that is broken stops the rest."""
    yield _python()
    yield from (_package(name, lowest, why) for name, (lowest, why) in _REQUIRED.items())
    yield from (_optional(name, lowest) for name, lowest in _OPTIONAL.items())
    for look in (_devices, _settings, *([_hub] if ask_hub else []), _mini, _self_test):
        yield from _guarded(look)


def _python() -> Finding:
    found = platform.python_version()
    good = sys.version_info >= _PYTHON
    detail = f"{found} on {platform.platform()}"
    return Finding(
        name="python", status="ok" if good else "fail", detail=detail, data={"bge_components": __version__}
    )


def _package(name: str, lowest: str, why: str) -> Finding:
    found = _version(name)
    if found is None:
        return Finding(name=name, status="fail", detail=f"not installed: pip install '{name}>={lowest}'")
    if _numbers(found) >= _numbers(lowest):
        return Finding(name=name, status="ok", detail=found, data={"version": found})
    because = f": {why}" if why else ""
    detail = f"{found} is below {lowest}{because}; pip install -U '{name}>={lowest}'"
    return Finding(name=name, status="fail", detail=detail, data={"version": found})


def _optional(name: str, lowest: str) -> Finding:
    found = _version(name)
    if found is None:
        return Finding(name=name, status="ok", detail="not installed (optional)")
    good = _numbers(found) >= _numbers(lowest)
    detail = found if good else f"{found} is below {lowest}, which its adapter needs"
    return Finding(name=name, status="ok" if good else "warn", detail=detail, data={"version": found})


def _devices() -> Iterator[Finding]:
    from ..backends import available_devices, device_memory_bytes, resolve_dtype

    for device in dict.fromkeys((*available_devices(), "cpu")):
        dtype, reason = resolve_dtype("auto", device)
        memory = device_memory_bytes(device)
        yield Finding(
            name=f"device {device}",
            status="ok",
            detail=f"{memory / 2**30:.1f} GiB; computes in {dtype}: {reason}",
            data={"memory_bytes": memory, "dtype": str(dtype), "dtype_reason": reason},
        )


def _settings() -> Iterator[Finding]:
    from ..settings import PoolSettings, known_variables

    PoolSettings.from_env()
    known = [*known_variables(), _DEBUG]
    names = sorted(name for name in os.environ if name.startswith("BGE_"))
    detail = " ".join(f"{name}={os.environ[name]}" for name in names) or "no BGE_ variable is set"
    unread = [_unread(name, known) for name in names if name not in known]
    yield Finding(name="settings", status="warn" if unread else "ok", detail="; ".join([detail, *unread]))


def _unread(name: str, known: list[str]) -> str:
    near = get_close_matches(name, known, n=1, cutoff=0.8)
    return f"nothing reads {name}" + (f", did you mean {near[0]}?" if near else "")


def _hub() -> Iterator[Finding]:
    from huggingface_hub import constants

    if hub_is_offline():
        yield Finding(
            name="hub",
            status="ok",
            detail="not asked: the environment says offline",
            data={"reachable": None},
        )
        return
    trouble = _trouble_reaching(constants.ENDPOINT)
    detail = (
        f"{constants.ENDPOINT} answers"
        if trouble is None
        else (
            f"{constants.ENDPOINT} cannot be reached ({trouble}): local folders, cached checkpoints and 'mini' work"
        )
    )
    yield Finding(
        name="hub",
        status="ok" if trouble is None else "warn",
        detail=detail,
        data={"reachable": trouble is None},
    )


def _trouble_reaching(endpoint: str) -> str | None:
    from huggingface_hub import get_session

    try:
        get_session().head(endpoint, timeout=_HUB_TIMEOUT_S)
    except Exception as error:  # whatever the transport raises means the same here
        return type(error).__name__
    return None


def _mini() -> Iterator[Finding]:
    from ..catalogue import resolve

    folder = resolve("mini").folder
    nbytes = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    detail = f"{folder} ({nbytes / 2**20:.0f} MiB)"
    yield Finding(name="mini", status="ok", detail=detail, data={"folder": str(folder), "nbytes": nbytes})


def _self_test() -> Iterator[Finding]:
    from ..assembly import ModelArguments, make_encoder

    texts = [
        "A cat sleeps on the sofa.",
        "A kitten naps on the couch.",
        "The central bank raised interest rates.",
    ]
    encoder = make_encoder(ModelArguments(model="mini"))
    encoder.encode(texts[:1])
    started = time.perf_counter()
    vectors = encoder.encode(texts).need_dense().values
    took_ms = (time.perf_counter() - started) * 1000
    near, far = float(vectors[0] @ vectors[1]), float(vectors[0] @ vectors[2])
    detail = f"mini encodes: like sentences {near:.2f}, unlike ones {far:.2f}, in {took_ms:.0f} ms"
    yield Finding(
        name="self-test",
        status="ok" if near > far + 0.2 else "fail",
        detail=detail,
        data={"like": near, "unlike": far, "took_ms": took_ms},
    )


def _guarded(look: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    try:
        yield from look()
    except Exception as error:
        name = look.__name__.strip("_").replace("_", "-")
        yield Finding(
            name=name, status="fail", detail=f"{type(error).__name__}: {' '.join(str(error).split())}"
        )


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", version.split("+")[0])[:3])
