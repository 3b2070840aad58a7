"""An adapter for worker.py without a package behind it; its option "does" says what it does when it encodes."""

import importlib
import os
import signal
import sys
import threading
import time
from contextlib import nullcontext

import numpy as np

WATCHED = ("OMP_WAIT_POLICY", "OMP_NUM_THREADS", "VIRTUAL_ENV")


def versions():
    return {name: os.environ.get(name, "unset") for name in WATCHED}


def load(folder, *, exports, task, max_tokens, threads, options):
    if options["does"] == "lack":
        importlib.import_module("a_package_that_nobody_has")
    return Fake(options["does"])


class Fake:
    def __init__(self, does):
        self.one_at_a_time = nullcontext()
        self._does = does
        if does == "spin":
            threading.Thread(target=_spin, daemon=True).start()

    def encode(self, texts):
        if self._does == "chatter":
            print('{"number": 0}')
            print("loading ... 100 %", flush=True)
            os.write(1, b"not valid UTF-8: \xff\n")
        if self._does == "crash":
            print("the last words", file=sys.stderr, flush=True)
            os.kill(os.getpid(), signal.SIGKILL)
        if self._does == "hang":
            time.sleep(60)
        if self._does == "refuse":
            raise ValueError("texts of this kind are refused")
        if self._does == "fill":
            np.ones(40_000_000)  # 305 MiB, given back at once
        time.sleep(0.001)
        return np.array([[len(text), len(texts)] for text in texts])

    def score(self, query, texts):
        return [float(query in text) for text in texts]


def _spin():
    while True:
        pass
