from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bge_components.backends import loading, memory, torch_model
from bge_components.backends.memory import give_free_memory_back

from .sequences import load

FREED = """
import os
from pathlib import Path
import torch
from bge_components.backends.memory import give_free_memory_back

MB = 2**20


def in_ram():
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / MB


torch.ones(16 * MB, dtype=torch.uint8)  # that was freed: blocks up to this size are kept from now on
before, weights, small = in_ram(), [], []
for _ in range(100):
    weights.append(torch.ones(MB, dtype=torch.uint8))
    small.append(torch.ones(4096, dtype=torch.uint8))
used = in_ram()
weights.clear()
kept = in_ram()
give_free_memory_back()
print(used - before, kept - before, in_ram() - before)
"""


@pytest.mark.skipif(not give_free_memory_back(), reason="needs a C library that can be asked (glibc)")
def test_memory_that_is_free_leaves_the_process() -> None:
    of_allocators = ("LD_PRELOAD", "GLIBC_TUNABLES", "MALLOC_")
    plain = {name: value for name, value in os.environ.items() if not name.startswith(of_allocators)}
    found = subprocess.run(
        [sys.executable, "-c", FREED], capture_output=True, text=True, check=True, timeout=120, env=plain
    )
    used, kept, left = map(float, found.stdout.split())

    assert used > 90
    assert kept > 50  # else there was nothing to give back, and this shows nothing
    assert left < 20


def test_loading_and_closing_a_model_give_memory_back(
    tiny_bert: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    for module in (loading, torch_model):
        monkeypatch.setattr(module, "give_free_memory_back", lambda name=module.__name__: calls.append(name))
    model = load(tiny_bert)
    assert calls == [loading.__name__]

    model.close()

    assert calls == [loading.__name__, torch_model.__name__]


def test_other_systems_and_c_libraries_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda _: object())
    assert not give_free_memory_back()
    monkeypatch.setattr(ctypes, "CDLL", lambda _: pytest.fail("it was asked for"))
    monkeypatch.setattr(memory.sys, "platform", "win32")
    assert not give_free_memory_back()
