"""How the tests of the command line run it: in this process, or in one of its own without a network."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from bge_components.cli import app

_NO_NETWORK = """
import socket

def _refuse(*args, **kwargs):
    raise OSError("the tests have no network")

socket.socket.connect = _refuse
socket.socket.connect_ex = _refuse
socket.getaddrinfo = _refuse
"""


@pytest.fixture
def bge(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Run a command in this process; gives typer's result with `exit_code`, `stdout` and `stderr`."""
    for name in ("BGE_DEBUG", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)

    def run(*args: object, stdin: str | bytes | None = None) -> Any:
        return CliRunner().invoke(app, [str(arg) for arg in args], input=stdin)

    return run


@pytest.fixture(scope="session")
def sealed_env(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a process in which every connection is refused."""
    folder = tmp_path_factory.mktemp("sealed")
    (folder / "sitecustomize.py").write_text(_NO_NETWORK)
    env = {name: value for name, value in os.environ.items() if not name.startswith(("BGE_", "HF_"))}
    root = Path(__file__).parents[2]
    return {**env, "PYTHONPATH": f"{folder}{os.pathsep}{root}", "HF_HUB_OFFLINE": "1", "COLUMNS": "200"}


@pytest.fixture
def shell(sealed_env: dict[str, str], tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run a line of shell in which `$BGE` is the command, in a process of its own."""

    def run(line: str, **env: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", "-o", "pipefail", "-c", line],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            timeout=120,
            check=False,
            env={**sealed_env, "BGE": f"{sys.executable} -m bge_components.cli", **env},
        )

    return run
