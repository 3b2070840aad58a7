import select
import subprocess
import sys

import pytest

pytest.importorskip("qdrant_edge")
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="other systems let it work for nothing")

CHILD = """
import sys
from bge_components.retrieval.engines.edge.optimizer_program import end_with
end_with(int(sys.argv[1]))
print("works", flush=True)
sys.stdin.read()
"""
PARENT = """
import os, subprocess, sys
child = subprocess.Popen([sys.executable, "-c", sys.argv[1], str(os.getpid())])
child.wait()
"""


def test_the_program_ends_with_the_process_that_waits_for_it():
    command = [sys.executable, "-c", PARENT, CHILD]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout.readline() == "works\n"
        parent.kill()
        assert select.select([parent.stdout], [], [], 10)[0], "the child, which has it too, goes on"


def test_the_program_does_not_begin_when_the_process_that_waits_is_gone():
    ended = subprocess.run([sys.executable, "-c", CHILD, "1"], capture_output=True, text=True, timeout=60)
    assert ended.returncode == 1
    assert "is gone" in ended.stderr
