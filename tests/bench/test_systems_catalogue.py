import ast
import sys
from pathlib import Path

import pytest

from bge_components.bench.systems import catalogue
from bge_components.bench.systems.catalogue import SYSTEMS, worth_running
from bge_components.bench.systems.environments import interpreters, missing

ROOM = Path(catalogue.__file__).parent
PEERS = Path(__file__).parents[2] / "benchmarks" / "peers"
STANDALONE = sorted(path.name for path in (*ROOM.glob("adapter_*.py"), *ROOM.glob("export*.py")))
environments = sorted({one.environment for one in SYSTEMS.values()} - {catalogue.OURSELVES})


def imported(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            yield "." if node.level else node.module.split(".")[0]
        elif isinstance(node, ast.Import):
            yield from (name.name.split(".")[0] for name in node.names)


def test_ours_come_first():
    names = list(SYSTEMS)
    assert names[0] == "bge_components fp32"
    assert [SYSTEMS[name].ours for name in names] == sorted(
        (SYSTEMS[name].ours for name in names), reverse=True
    )


@pytest.mark.parametrize("system", SYSTEMS.values(), ids=lambda system: system.name)
def test_every_system_has_its_adapter_and_a_line_that_installs_it(system):
    assert (ROOM / f"{system.adapter}.py").is_file()
    assert system.pip.startswith("pip install ")
    assert system.modules


@pytest.mark.parametrize("environment", environments)
def test_every_environment_is_a_list_of_pinned_packages(environment):
    lines = (PEERS / f"{environment}.txt").read_text(encoding="utf-8").splitlines()
    packages = [line for line in lines if not line.startswith("#")]
    assert packages
    assert all(line.count("==") == 1 for line in packages)
    assert "torch==2.13.0" in packages


def test_there_is_no_list_without_a_system():
    assert sorted(path.stem for path in PEERS.glob("*.txt")) == environments


def test_the_worker_imports_the_standard_library_and_numpy_only():
    assert set(imported(ROOM / "worker.py")) <= {"numpy", *sys.stdlib_module_names}


@pytest.mark.parametrize("name", STANDALONE)
def test_adapters_of_others_do_not_import_us(name):
    ours = {"bge_components"} if name == "adapter_ours.py" else set()
    found = set(imported(ROOM / name))
    assert "." not in found
    assert found & {"bge_components"} == ours


def test_a_system_that_needs_a_feature_runs_only_where_it_is():
    plain = {system.name for system in worth_running(["avx512f", "avx512_vnni"])}
    assert "openvino bf16" not in plain
    assert "bge_components fp32" in plain
    assert "openvino bf16" in {system.name for system in worth_running(["amx_bf16"])}


def test_the_interpreter_of_an_environment_is_not_followed_to_where_it_links(tmp_path):
    made = tmp_path / "st" / "bin"
    made.mkdir(parents=True)
    (made / "python").symlink_to(sys.executable)
    assert interpreters(tmp_path)["st"] == str(made / "python")


def test_ours_runs_with_the_interpreter_that_runs_this():
    assert interpreters(None)[catalogue.OURSELVES] == sys.executable


def test_what_is_missing_comes_with_the_line_that_gets_it(tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert set(interpreters(tmp_path)) == {catalogue.OURSELVES}
    said = missing(tmp_path)
    assert set(said) == set(environments)
    assert "make peers PEERS=onnx" in said["onnx"]
    assert "pip install FlagEmbedding" in said["onnx"]


def test_nothing_is_missing_that_can_be_imported_here(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: object())
    assert missing(None) == {}
    assert set(interpreters(None).values()) == {sys.executable}
