import sys
from pathlib import Path
from types import SimpleNamespace

from bge_components.bench.workloads import startup
from support.tiny_bench import tiny_bench


def test_programs_are_timed_from_their_start_to_their_end() -> None:
    programs = {
        (startup.IMPORT, "none", "nothing"): (sys.executable, "-S", "-c", "pass"),
        (startup.FIRST, "mini", "slow"): (sys.executable, "-S", "-c", "import time; time.sleep(0.2)"),
        (startup.FIRST, "mini", "broken"): (sys.executable, "-S", "-c", "raise SystemExit('is broken')"),
    }

    found = {one.system: one for one in startup.timed(programs, rounds=2, threads=1)}

    assert len(found["nothing"].seconds) == 2
    assert found["slow"].median_s > 0.2 > found["nothing"].median_s
    assert "is broken" in found["broken"].reason


def test_what_is_compared_is_what_a_user_types(tmp_path: Path, tiny_bert: Path, monkeypatch) -> None:
    given: dict[tuple[str, str, str], tuple[str, ...]] = {}
    monkeypatch.setattr(startup, "timed", lambda programs, rounds, threads: given.update(programs) or ())
    peer = SimpleNamespace(name=startup.PEER, environment="current")
    bench = tiny_bench(tmp_path, tiny_bert, systems=(peer,), interpreters={"current": "/its/python"})

    list(startup.measure(bench))

    firsts = {key[1:]: command for key, command in given.items() if key[0] == startup.FIRST}
    shape = bench.shapes[0].name
    assert set(firsts) == {("mini", "bge_components"), (shape, "bge_components"), (shape, startup.PEER)}
    assert firsts[shape, startup.PEER][0] == "/its/python"
    assert (
        firsts[shape, startup.PEER][3:]
        == firsts[shape, "bge_components"][3:]
        == (str(tiny_bert), startup.TEXT)
    )


def test_a_missing_peer_is_an_absence_with_what_to_do(tmp_path: Path, tiny_bert: Path, monkeypatch) -> None:
    monkeypatch.setattr(startup, "timed", lambda programs, rounds, threads: ())
    peer = SimpleNamespace(name=startup.PEER, environment="apart")
    bench = tiny_bench(tmp_path, tiny_bert, systems=(peer,), missing={"apart": "make peers"})

    (found,) = startup.measure(bench)

    assert found.reason == "make peers"
