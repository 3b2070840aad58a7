from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

CODE = """
import os, sys, warnings
warnings.simplefilter("ignore", DeprecationWarning)
import numpy as np, torch
from bge_components.backends import CheckpointSource
from bge_components.contracts import Output, TokenSequence

torch.set_num_threads(4)
source = CheckpointSource(model=sys.argv[1], dtype="float32")
model = source.build(source.resolve(), "cpu")
ids = np.arange(5, 405, dtype=np.int32)[:400]
batch = [TokenSequence(ids, frozenset({Output.DENSE}))] * 8
dense = lambda model: np.stack([one[Output.DENSE] for one in model.run(batch)])
right = dense(model)
child = os.fork()
if child == 0:
    try:
        again = dense(model)
        loaded = dense(source.build(source.resolve(), "cpu"))
        good = np.abs(again - right).max() < 1e-5 and np.abs(loaded - right).max() < 1e-5
        os._exit(0 if good and torch.get_num_threads() == 1 else 3)
    except BaseException as error:
        print(repr(error), file=sys.stderr, flush=True)
        os._exit(4)
_, status = os.waitpid(child, 0)
assert torch.get_num_threads() == 4, "the parent lost its threads"
assert np.abs(dense(model) - right).max() < 1e-5
sys.exit(os.waitstatus_to_exitcode(status))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_child_computes_after_its_parent_did(tiny_m3: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    parent = subprocess.Popen(
        [sys.executable, "-c", CODE, str(tiny_m3)],
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        start_new_session=True,
    )
    try:
        _, said = parent.communicate(timeout=90)
    except subprocess.TimeoutExpired:
        os.killpg(parent.pid, signal.SIGKILL)  # the child that hangs as well
        parent.communicate()
        pytest.fail("the child hangs")
    assert parent.returncode == 0, said
