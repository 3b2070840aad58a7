from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar

import pytest

from bge_components.bench.records import Absence, Measurement
from bge_components.bench.systems.client import SystemFailed
from bge_components.bench.workloads import adapters, frameworks, online, online_peers, ours
from bge_components.bench.workloads.frameworks import LANGCHAIN, LLAMA_INDEX
from bge_components.bench.workloads.traffic import Traffic
from support.tiny_bench import FORMS, tiny_bench

PEER = "sentence-transformers fp32"


class ScriptedWorker:
    """Answers as the worker of a peer does; dies when it is asked for texts called `dies_on`."""

    dies_on = ""
    exports: ClassVar[list[Path]] = []
    versions: ClassVar[dict[str, str]] = {"a-package": "1.2"}

    def __enter__(self) -> "ScriptedWorker":
        return self

    def __exit__(self, *_: object) -> None: ...

    def load(self, folder: Path, task: str, max_tokens: int, exports: Path) -> float:
        self.exports.append(exports)
        return 0.0

    def give(self, name: str, texts: list[str]) -> None: ...

    def callers(self, name: str, callers: int, seconds: float) -> tuple[list[float], float]:
        if name == self.dies_on:
            raise SystemFailed("it died")
        return [0.5] * callers, 0.5


@pytest.fixture
def bench(tmp_path: Path, tiny_bert: Path, monkeypatch):
    monkeypatch.setattr(ours, "_FORMS", FORMS)
    monkeypatch.setattr(online, "CALLERS", (1, 4))
    monkeypatch.setattr(online, "QUERIES", 4)
    monkeypatch.setattr(online, "PASSAGES", 4)
    monkeypatch.setattr(online, "_WARM_UP_S", 0.01)
    monkeypatch.setattr(adapters, "LEAST_ROUNDS", 2)
    monkeypatch.setattr(online_peers.Worker, "start", lambda system, python, threads: ScriptedWorker())
    system = SimpleNamespace(name=PEER, environment="st")
    return tiny_bench(
        tmp_path, tiny_bert, systems=(system,), interpreters={"st": "python"}, seconds=0.02, rounds=1
    )


def test_every_way_is_measured_and_held_against_the_bare_pass_and_the_bulk(bench) -> None:
    found = {(one.workload, one.system): one for one in online.measure(bench)}

    assert all(isinstance(one, Measurement) for one in found.values())
    doors = {f"bge_components fp32 {door}" for door in ("threads", "asyncio")}
    classes = {
        f"bge_components fp32 {name} {way}"
        for name in (LANGCHAIN, LLAMA_INDEX)
        for way in ("threads", "asyncio")
    }
    at_once = {system for workload, system in found if workload == "online queries, 4 at a time"}
    assert at_once == {*doors, *classes, PEER}
    at_once = {system for workload, system in found if workload == "online passages, 4 at a time"}
    assert at_once == {*doors, PEER}
    assert ("online queries, bulk", "bge_components fp32 bulk") in found
    assert ("online queries, 1 at a time", "bge_components fp32 bare forward pass") in found
    batches = {system for workload, system in found if workload == adapters.WORKLOAD}
    assert batches == {f"bge_components fp32 {name}" for name in ("encoder", LANGCHAIN, LLAMA_INDEX)}

    over = found["online queries, 1 at a time", "bge_components fp32 threads"].numbers["over_bare_ms"]
    assert -1000 < over < 1000
    compared = {key for key, one in found.items() if "over_bare_ms" in one.numbers}
    assert compared == {
        *(("online queries, 1 at a time", system) for system in {*doors, *classes}),
        *(("online passages, 1 at a time", system) for system in doors),
    }
    many = found["online queries, 4 at a time", "bge_components fp32 threads"]
    bulk = found["online queries, bulk", "bge_components fp32 bulk"]
    assert many.numbers["of_bulk_percent"] == pytest.approx(100 * bulk.median_s / many.median_s)
    assert ScriptedWorker.exports[-1] == bench.exports(bench.shapes[0])
    assert f"{PEER}: a-package 1.2." in bench.told
    peer = found["online queries, 4 at a time", PEER].numbers
    assert peer["p50_ms"] == peer["p99_ms"] == 500
    assert peer["texts_per_s"] == 8
    assert "of_bulk_percent" not in peer


def test_a_peer_that_dies_is_an_absence_and_the_others_are_measured(bench, monkeypatch) -> None:
    monkeypatch.setattr(ScriptedWorker, "dies_on", "passages")

    found = list(online.measure(bench))

    absences = [one for one in found if isinstance(one, Absence)]
    assert {(one.system, one.reason) for one in absences} == {(PEER, "it died")}
    systems = {(one.workload, one.system) for one in found}
    assert ("online passages, 4 at a time", "bge_components fp32 threads") in systems
    assert ("online passages, 4 at a time", PEER) not in systems
    assert ("online queries, 4 at a time", PEER) in systems


def test_a_framework_that_is_not_installed_is_an_absence(monkeypatch, tiny_bert: Path) -> None:
    def missing(folder: str, pool: object) -> None:
        raise ImportError("no such package")

    monkeypatch.setitem(frameworks._MAKERS, LLAMA_INDEX, missing)

    found, absent = frameworks.frameworks(tiny_bert, pool=None)

    assert list(found) == [LANGCHAIN]
    assert absent == {LLAMA_INDEX: "ImportError: no such package"}


def test_the_seconds_of_a_round_are_those_of_all_texts_once() -> None:
    lengths = (10, 30)
    traffic = [Traffic(latencies_s=(0.1,) * 6, elapsed_s=3.0)] * 2
    asking = SimpleNamespace(
        kind="queries", lengths=lengths, bulk="", shape=SimpleNamespace(name="s", flops=lambda lengths: 1.0)
    )

    found = online._measurement(asking, PEER, 4, {(PEER, 4): traffic})

    assert found.seconds == (1.0, 1.0)
    assert found.numbers["texts_per_s"] == 2


def test_a_call_is_held_against_the_bare_pass_of_the_same_text() -> None:
    def traffic(*latencies_ms: float) -> Traffic:
        return Traffic(latencies_s=tuple(ms / 1000 for ms in latencies_ms), elapsed_s=1.0)

    bare = [traffic(10, 100, 1000, 30), traffic(10, 100)]  # text 0 took 10, 30 and 10 ms
    called = [traffic(12, 101), traffic(12)]

    assert online._over_ms(called, bare, count=3) == pytest.approx(1.5)
