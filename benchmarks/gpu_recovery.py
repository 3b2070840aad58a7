"""Proof on a real device that full memory costs time and nothing else, and that the batches grow back after it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any
from unittest import mock

import numpy as np
import torch

from bge_components.assembly import ModelArguments, make_encoder
from bge_components.backends.torch_model import TorchModel
from bge_components.bench.agreement import lowest_cosine
from bge_components.bench.records import Measurement
from bge_components.bench.workloads.ours import named_ours
from bge_components.contracts import CallOptions
from bge_components.encoders import Encoder, EncoderSettings
from bge_components.errors import DeviceOutOfMemoryError
from bge_components.pool import ModelPool
from bge_components.settings import BatchSettings, PoolSettings

from .gpu_setting import Given, Setting

AT_ONCE = 262_144
LEFT_BYTES = 256 * 2**20
"""Memory that is left free: far less than a pass of `AT_ONCE` tokens needs."""
NEAR_ENOUGH = 0.9999
"""Lowest cosine of vectors from small batches to those from large ones: matrix products round differently."""

_TINY_AT_ONCE, _TINY_FITS = 1_024, 300
_GROWN_WITHIN_S = 40.0


class NotRecoveredError(Exception):
    """The device was full, and something other than time was lost."""


def recovery(setting: Setting) -> Iterator[Measurement]:
    """Encode with free memory, with nearly none, and with free memory again.

    Raises:
        NotRecoveredError: If memory never ran out, a vector differs, or the batches do not grow back.
    """
    given = setting.given("bge-base", 128, 2 * AT_ONCE)
    most = _TINY_AT_ONCE if setting.tiny else AT_ONCE
    batch = BatchSettings(max_tokens=most, max_items=most)
    with ModelPool(PoolSettings(devices=(setting.device,), memo_s=0, batch=batch)) as pool:
        arguments = ModelArguments(model=str(given.folder), device=setting.device, dtype=setting.dtype)
        encoder = make_encoder(arguments, EncoderSettings(on_truncation="ignore"), pool)
        free = _encoded(encoder, given)
        with _full_memory(setting):
            started = time.perf_counter()
            full = _encoded(encoder, given)
            seconds = time.perf_counter() - started
            stats = pool.stats().devices[0]
        nearness = lowest_cosine(full, free)
        _hold(stats.out_of_memory > 0, "memory never ran out: the device was not full")
        _hold(stats.failed_passes == 0, f"{stats.failed_passes} passes failed for other reasons")
        _hold(nearness >= NEAR_ENOUGH, f"a vector under pressure has a cosine of {nearness} to that without")
        batches = _grow_back(encoder, given, most)
        again = lowest_cosine(_encoded(encoder, given), free)
        _hold(again >= NEAR_ENOUGH, f"a vector after the pressure has a cosine of {again} to that before")
    yield Measurement(
        workload="gpu recovery from full memory",
        shape=given.shape.name,
        system=named_ours("bf16"),
        seconds=(seconds,),
        texts=len(given.texts),
        tokens=sum(given.lengths),
        lowest_cosine=nearness,
        numbers={
            "equal_to_the_bit_percent": 100 * float(np.mean(np.all(full == free, axis=1))),
            "times_out_of_memory": stats.out_of_memory,
            "tokens_at_once_before": most,
            "tokens_at_once_full": stats.max_tokens,
            "batches_to_grow_back": batches,
        },
    )


def _encoded(encoder: Encoder, given: Given) -> Any:
    return encoder.encode(given.texts).need_dense().values


def _grow_back(encoder: Encoder, given: Given, most: int) -> int:
    """Encode small batches until the device is given as many tokens at once as before; give how many it took."""
    until = time.monotonic() + _GROWN_WITHIN_S
    before = encoder.pool.stats().devices[0].batches
    while (now := encoder.pool.stats().devices[0]).max_tokens < most:
        _hold(time.monotonic() < until, f"the batches grew back to {now.max_tokens} of {most} tokens only")
        encoder.encode(given.texts[:64], options=CallOptions(batch_size=1))
    return now.batches - before


def _hold(true: bool, otherwise: str) -> None:
    if not true:
        raise NotRecoveredError(otherwise)


def _full_memory(setting: Setting) -> AbstractContextManager[None]:
    return _filled(setting.device) if setting.device.startswith("cuda") else _pretended_full()


@contextmanager
def _filled(device: str) -> Iterator[None]:
    """Take all memory of a device but `LEFT_BYTES`, in pieces that fit between what is there."""
    torch.cuda.synchronize(device)
    torch.cuda.empty_cache()
    taken: list[torch.Tensor] = []
    size = 2**30
    while size >= 2**21:
        if torch.cuda.mem_get_info(device)[0] - size < LEFT_BYTES:
            size //= 2
            continue
        try:
            taken.append(torch.empty(size, dtype=torch.uint8, device=device))
        except torch.OutOfMemoryError:
            size //= 2
    try:
        yield
    finally:
        taken.clear()
        torch.cuda.empty_cache()


@contextmanager
def _pretended_full() -> Iterator[None]:
    """Let every pass of more than a few tokens fail as on a full device, to try the code without one."""
    run = TorchModel.run

    def refusing(self: TorchModel, batch: Any, **options: Any) -> Any:
        if len(batch) > 1 and sum(map(len, batch)) > _TINY_FITS:
            raise DeviceOutOfMemoryError("pretended")
        return run(self, batch, **options)

    with mock.patch.object(TorchModel, "run", refusing):
        yield
