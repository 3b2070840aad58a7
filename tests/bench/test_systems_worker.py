import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from bge_components.assembly import ModelArguments, make_encoder
from bge_components.bench.systems.catalogue import SYSTEMS, System
from bge_components.bench.systems.client import Limits, SystemFailed, Worker
from bge_components.bench.systems.worker import peak_bytes
from bge_components.catalogue import locate
from bge_components.pool import ModelPool

HERE = Path(__file__).parent
TEXTS = ["one", "three", "fifteen letters"]
linux_only = pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")


def fake(does="encode", adapter="fake_system", **variables):
    return System(
        name="fake",
        environment="fake",
        adapter=adapter,
        modules=(),
        pip="pip install fake-system",
        options={"does": does},
        variables={"PYTHONPATH": str(HERE), **variables},
    )


def started(does="encode", **limits):
    worker = Worker.start(fake(does), sys.executable, 2, Limits(**limits))
    worker.load(HERE, "embed", 512)
    worker.give("texts", TEXTS)
    return worker


def test_vectors_come_back_in_the_order_of_the_texts_and_the_time_is_taken_beside_the_call():
    with started() as worker:
        assert 0 < worker.encode("texts") < 1
        np.testing.assert_array_equal(worker.vectors("texts"), [[3, 3], [5, 3], [15, 3]])
        assert worker.vectors("texts").dtype == np.float32


def test_vectors_are_those_of_the_texts_that_were_given_last():
    with started() as worker:
        worker.encode("texts")
        worker.give("texts", ["four"])
        np.testing.assert_array_equal(worker.vectors("texts"), [[4, 1]])


def test_scores_are_of_the_query_and_every_text():
    with started() as worker:
        assert worker.rerank("three", "texts") > 0
        np.testing.assert_array_equal(worker.scores("three", "texts"), [0, 1, 0])


def test_callers_send_texts_until_the_time_is_over():
    with started() as worker:
        latencies_s, elapsed_s = worker.callers("texts", 3, 0.2)
    assert 0.2 <= elapsed_s < 2
    assert len(latencies_s) > 3
    assert min(latencies_s) >= 0.001
    assert sum(latencies_s) <= 3 * elapsed_s


def test_a_worker_knows_its_peak_of_memory():
    with started() as worker:
        assert 5 < worker.peak_mb() < 500


def test_a_peak_that_was_forgotten_begins_with_what_is_used_now():
    with started("fill") as worker:
        worker.encode("texts")
        before = worker.peak_mb()
        if not worker.forget_peak():
            pytest.skip("this system keeps the peak for ever")
        assert worker.peak_mb() < before - 250
        worker.encode("texts")
        assert worker.peak_mb() == pytest.approx(before, rel=0.1)


def test_the_peak_of_memory_is_no_less_than_what_is_used_now():
    now = psutil.Process().memory_info().rss
    assert now * 0.99 <= peak_bytes() < psutil.virtual_memory().total


def test_what_a_system_prints_is_no_answer():
    with started("chatter") as worker:
        worker.encode("texts")
        np.testing.assert_array_equal(worker.vectors("texts"), [[3, 3], [5, 3], [15, 3]])


def test_a_worker_that_is_killed_in_a_request_is_a_failure_with_its_last_words():
    with (
        started("crash") as worker,
        pytest.raises(SystemFailed, match=r"fake: encode: .*signal 9.*the last words"),
    ):
        worker.encode("texts")


def test_a_worker_that_is_gone_is_a_failure_at_the_next_request():
    with started("crash") as worker:
        with pytest.raises(SystemFailed):
            worker.encode("texts")
        with pytest.raises(SystemFailed, match="ended with signal 9"):
            worker.peak_mb()


def test_a_request_that_takes_too_long_ends_the_worker():
    with started("hang", work_s=0.3) as worker:
        with pytest.raises(SystemFailed, match=r"encode: no answer within 0\.3 s"):
            worker.encode("texts")
        assert not is_alive(worker.process)


def test_a_refusal_fails_one_request_and_the_worker_goes_on():
    with started("refuse") as worker:
        with pytest.raises(SystemFailed, match="ValueError: texts of this kind are refused"):
            worker.encode("texts")
        assert worker.peak_mb() > 0


def test_a_missing_package_is_a_failure_that_says_how_to_get_it():
    with pytest.raises(SystemFailed, match=r"No module named 'no_adapter'.*pip install fake-system"):
        Worker.start(fake(adapter="no_adapter"), sys.executable, 1)


def test_a_package_that_lacks_another_is_a_failure():
    with (
        Worker.start(fake("lack"), sys.executable, 1) as worker,
        pytest.raises(SystemFailed, match=r"load: ModuleNotFoundError: .*a_package_that_nobody_has"),
    ):
        worker.load(HERE, "embed", 512)


def test_an_interpreter_that_is_not_there_is_a_failure():
    with pytest.raises(SystemFailed, match="cannot be started"):
        Worker.start(fake(), "/nowhere/python", 1)


@linux_only
def test_a_waiting_worker_is_stopped_even_if_its_threads_never_rest():
    with started("spin") as worker:
        worker.encode("texts")
        before = cpu_ticks(worker.process)
        time.sleep(0.3)
        assert cpu_ticks(worker.process) - before <= 1
        deadline = time.monotonic() + 10
        while cpu_ticks(worker.process) == before and time.monotonic() < deadline:
            worker.encode("texts")  # one alone may end within a tick
        assert cpu_ticks(worker.process) > before


@linux_only
def test_a_stopped_worker_does_not_outlive_its_parent():
    code = (
        "import os, sys; sys.path.insert(0, sys.argv[1])\n"
        "from test_systems_worker import started\n"
        "worker = started()\n"
        "print(worker.process, flush=True)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(HERE)], stdout=subprocess.PIPE, text=True, check=False
    )
    orphan = int(done.stdout)
    deadline = time.monotonic() + 5
    while is_alive(orphan) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not is_alive(orphan)


def test_a_worker_has_the_environment_of_its_own_user(monkeypatch):
    monkeypatch.setenv("OMP_WAIT_POLICY", "passive")
    monkeypatch.setenv("VIRTUAL_ENV", "/of/somebody/else")
    with started() as worker:
        assert worker.versions == {
            "OMP_WAIT_POLICY": "passive",  # what is set for the machine is set for all
            "OMP_NUM_THREADS": "2",
            "VIRTUAL_ENV": "unset",
        }
    with Worker.start(fake(OMP_WAIT_POLICY="active"), sys.executable, 1) as worker:
        assert worker.versions["OMP_WAIT_POLICY"] == "active"


def test_our_own_system_gives_the_vectors_of_an_encoder():
    arguments = ModelArguments(model="mini", dtype="float32")
    with ModelPool() as pool:
        expected = make_encoder(arguments, pool=pool).encode(TEXTS).need_dense().values
    with Worker.start(SYSTEMS["bge_components fp32"], sys.executable, 1) as worker:
        worker.load(locate("mini"), "embed", 256)
        worker.give("texts", TEXTS)
        worker.encode("texts")
        np.testing.assert_allclose(worker.vectors("texts"), expected, atol=1e-5)


def cpu_ticks(process):
    fields = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()
    return int(fields[11]) + int(fields[12])


def is_alive(process):
    try:
        os.kill(process, 0)
        return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False
