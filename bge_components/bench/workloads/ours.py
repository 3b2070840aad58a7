"""This package in this process, set up to be measured: a pool of its own, no memo, no instruction, no warnings."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TypeVar

import torch

from ...assembly import ModelArguments, make_encoder
from ...encoders import Encoder, EncoderSettings
from ...pool import ModelPool
from ...settings import PoolSettings
from ..records import OURS
from ..shapes import Shape
from ..stopwatch import interleaved

LIGHT_FLOPS = 2e8
"""Most arithmetic per token of a network whose answer to one query is a matter of milliseconds: bge-base."""

LEAST_TEXTS = 4

_FORMS = {"float32": "fp32", "bfloat16": "bf16", "float16": "fp16"}

T = TypeVar("T")
Key = TypeVar("Key")


@contextmanager
def our_pool(threads: int) -> Iterator[ModelPool]:
    """Give a pool on the processor that computes every text anew, and close it."""
    torch.set_num_threads(threads)
    with ModelPool(PoolSettings(devices=("cpu",), memo_s=0)) as pool:
        yield pool


def plain_encoder(folder: Path | str, pool: ModelPool) -> Encoder:
    """Give an encoder that reads texts as every other system does: without an instruction."""
    settings = EncoderSettings(query_instruction="", document_instruction="", on_truncation="ignore")
    return make_encoder(ModelArguments(model=str(folder), device="cpu"), settings, pool)


def named_ours(what: str, form: str = "") -> str:
    """Give the name that tables have for a way to use this package, with the number format if it is given."""
    return " ".join(part for part in (OURS, form, what) if part)


def short_form(dtype: str) -> str:
    """Give the number format as the names of systems have it: "fp32" for "float32"."""
    return _FORMS.get(dtype, dtype)


def form_of(encoder: Encoder) -> str:
    """Give the number format in which the model of an encoder computes, which is loaded for it."""
    return short_form(encoder.pool.warm_up(encoder.source).dtype)


def embedders(shapes: Sequence[Shape], *, quick: bool) -> list[Shape]:
    """Give the embedders that answer queries quickly, only the lightest if `quick`; if none does, the lightest."""
    found = sorted((shape for shape in shapes if shape.task == "embed"), key=lambda one: one.flops([1]))
    light = [shape for shape in found if shape.flops([1]) <= LIGHT_FLOPS]
    return found[:1] if quick or not light else light


def affordable(shape: Shape, lengths: Sequence[int], flops: float) -> int:
    """Give how many of the first texts can be encoded for so much arithmetic: at least a few."""
    count = LEAST_TEXTS
    while count < len(lengths) and shape.flops(lengths[: count + 1]) <= flops:
        count += 1
    return min(count, len(lengths))


def in_turns(jobs: Mapping[Key, Callable[[], T | None]], rounds: int) -> dict[Key, list[T]]:
    """Run every job once per round, as `interleaved` does, and give what each gave in each round.

    A job that gives None has given up: it is left out.
    """
    found: dict[str, list[T]] = {str(key): [] for key in jobs}

    def kept(name: str, job: Callable[[], T | None]) -> float | None:
        given = job()
        if given is None:
            return None
        found[name].append(given)
        return 0.0

    ended = interleaved({str(key): partial(kept, str(key), job) for key, job in jobs.items()}, rounds)
    return {key: found[str(key)] for key in jobs if str(key) in ended}


def seconds_of(work: Callable[[], object]) -> float:
    """Give the seconds that some work takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started
