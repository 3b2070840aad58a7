from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from house.sealed import ROOT, run_command, run_sealed

USE_INSTALLED = """
import sys
import bge_components
assert bge_components.__file__.startswith(sys.argv[1]), bge_components.__file__
from bge_components.langchain import BGEEmbeddings
vector = BGEEmbeddings(model="mini").embed_query("hello")
assert len(vector) > 100, len(vector)
assert abs(sum(value * value for value in vector) - 1) < 1e-3
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel and the source archive."""
    folder = tmp_path_factory.mktemp("built")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-t", "sdist", "-d", str(folder)]
    done = run_command(command, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def installed(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder outside the checkout into which the wheel was installed, without its dependencies."""
    target = tmp_path_factory.mktemp("installed")
    (wheel,) = built.glob("*.whl")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--no-compile"]
    done = run_command([*pip, "--target", str(target), str(wheel)], cwd=target)
    assert done.returncode == 0, done.stderr
    return target


def packaged(name: str) -> bool:
    return name.startswith("bge_components/") or ".dist-info/" in name


def test_the_wheel_holds_the_package_and_nothing_else(built: Path) -> None:
    (wheel,) = built.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()

    assert [name for name in names if not packaged(name)] == []
    assert [name for name in names if "__pycache__" in name or "/test_" in name] == []


def test_the_wheel_holds_the_packaged_checkpoint_the_types_and_the_licences(built: Path) -> None:
    (wheel,) = built.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    folder = ROOT / "bge_components" / "checkpoints" / "mini"
    checkpoint = {path.relative_to(ROOT).as_posix() for path in folder.rglob("*") if path.is_file()}

    assert {path.rsplit("/", 1)[1] for path in checkpoint} >= {"config.json", "tokenizer.json"}
    assert names >= checkpoint | {"bge_components/py.typed"}
    assert {"LICENSE", "NOTICE"} <= {name.rsplit("/", 1)[1] for name in names if ".dist-info/" in name}


def test_the_source_archive_can_build_the_wheel(built: Path) -> None:
    (archive,) = built.glob("*.tar.gz")
    with tarfile.open(archive) as files:
        names = {name.split("/", 1)[1] for name in files.getnames()}

    assert names >= {"pyproject.toml", "README.md", "LICENSE", "bge_components/checkpoints/mini/config.json"}
    assert [name for name in names if name.startswith(("tests/", ".venv/", "dist/"))] == []


def test_the_installed_package_embeds_offline_from_any_folder(installed: Path, tmp_path: Path) -> None:
    env = {"PYTHONPATH": str(installed), "HF_HUB_OFFLINE": "1"}

    done = run_sealed(USE_INSTALLED, str(installed), cwd=tmp_path, env=env)

    assert done.returncode == 0, done.stderr


def test_the_installed_command_runs_from_any_folder(installed: Path, tmp_path: Path) -> None:
    command = [sys.executable, str(installed / "bin" / "bge"), "models", "--json"]

    done = run_command(command, cwd=tmp_path, env={"PYTHONPATH": str(installed)})

    assert done.returncode == 0, done.stderr
    assert "mini" in json.dumps(json.loads(done.stdout))


USE_BARE = """
from bge_components import make_encoder, make_reranker, shared_pool
encoding = make_encoder("mini").encode(["hello"], outputs={"dense", "multi"})
assert encoding.dense.values.shape == (1, 384)
ranking = make_reranker("mini").rank("what eats bamboo?", ["the market fell", "pandas eat bamboo"])
assert ranking.indices[0] == 1
assert shared_pool().stats().loads == 1
try:
    import bge_components.langchain
except ImportError as error:
    assert "pip install 'bge-components[langchain]'" in str(error), error
else:
    raise AssertionError("langchain-core should not be here")
"""


@pytest.mark.skipif(
    os.environ.get("CI") != "true",
    reason="installs all dependencies anew, which may be gigabytes: set CI=true to run it",
)
def test_the_wheel_works_in_a_bare_environment(built: Path, tmp_path: Path) -> None:
    (wheel,) = built.glob("*.whl")
    python = tmp_path / "bare" / "bin" / "python"
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "bare")], check=True, timeout=120)
    install = [
        python,
        "-m",
        "pip",
        "install",
        "-q",
        "--disable-pip-version-check",
        "-c",
        ROOT / "constraints.txt",
    ]
    done = subprocess.run([*install, wheel], capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stderr[-2000:]

    env = {**os.environ, "HF_HUB_OFFLINE": "1"}
    env.pop("PYTHONPATH", None)
    used = subprocess.run(
        [python, "-c", USE_BARE],
        cwd=tmp_path,
        env=env,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert used.returncode == 0, used.stderr[-2000:]
    bge = subprocess.run(
        [python.with_name("bge"), "--version"], capture_output=True, text=True, check=False, timeout=60
    )
    assert bge.stdout.startswith("bge-components ")
