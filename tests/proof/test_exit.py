"""A program that ends while the engine works ends in order: no abort, its own exit code."""

import os
import subprocess
import sys

import pytest

PROGRAM = """
import sys, threading, time
from bge_components import EncoderSettings, make_encoder

encoder = make_encoder("mini", EncoderSettings(on_truncation="ignore"))
if sys.argv[1] == "compute":
    encoder.encode(["loaded"])
work = lambda: encoder.encode(["word " * 200] * 3000)
threading.Thread(target=work, daemon=True).start()
time.sleep(float(sys.argv[2]))
sys.exit(3)
"""


@pytest.mark.parametrize(
    ("at", "after_s"), [("compute", 0.2), ("compute", 0.4), ("compute", 0.6), ("load", 0.3)]
)
def test_a_program_that_ends_while_the_engine_works_keeps_its_exit_code(at, after_s):
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM, at, str(after_s)], capture_output=True, text=True, timeout=60
    )
    assert ended.returncode == 3, ended.stderr
    assert "terminate called" not in ended.stderr


CLOSING = """
import threading
import torch
torch.set_num_threads(2)
from bge_components import make_encoder, shared_pool

encoder = make_encoder("mini")
encoder.encode(["one short text"], role="query")
encoder.encode(["word " * 20 + str(number) for number in range(40)])
COMPUTING = ("bge-worker", "bge-team", "bge-compute", "Dummy")
threads = lambda: {thread.name for thread in threading.enumerate() if thread.name.startswith(COMPUTING)}
assert {"bge-worker", "bge-team", "bge-compute-cpu"} <= threads(), threads()
shared_pool().close()
assert not threads(), threads()
"""


def test_a_closed_pool_leaves_no_thread_that_computes():
    """One that frees its tensors while the interpreter ends would abort it."""
    for _ in range(3):
        ended = subprocess.run([sys.executable, "-c", CLOSING], capture_output=True, text=True, timeout=60)
        assert ended.returncode == 0, ended.stderr


LEFT = """
import atexit, threading
atexit.register(lambda: print([t.name for t in threading.enumerate() if t.name in ("bge-team", "bge-compute-cpu")]))
from bge_components import make_encoder

make_encoder("mini").encode(["one short text"], role="query")
"""


def test_nothing_computes_any_more_when_the_pool_has_ended_with_the_program():
    """What was registered before the package is imported runs after everything of it.

    torch comes later: what it registers, Python's finalizers among it, runs before the pool ends.
    """
    two = {**os.environ, "OMP_NUM_THREADS": "2"}
    ended = subprocess.run([sys.executable, "-c", LEFT], capture_output=True, text=True, timeout=60, env=two)
    assert (ended.returncode, ended.stdout) == (0, "[]\n"), ended.stderr
