"""Runs Python code in a fresh interpreter with a bare environment; on request without any network."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]

_SEAL = """
import socket
_attempts = []

def _refuse(*args, **kwargs):
    _attempts.append(args)
    raise OSError("the network is sealed")

class _SealedSocket(socket.socket):  # may be made and bound (urllib3 looks so for IPv6), but reaches nobody
    connect = connect_ex = sendto = _refuse

socket.socket = _SealedSocket
socket.create_connection = socket.getaddrinfo = socket.gethostbyname = _refuse
"""
_UNSEAL = """
if _attempts:
    raise SystemExit(f"the network was asked for: {_attempts}")
"""


def run_fresh(
    code: str, *arguments: str, cwd: Path = ROOT, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run code; the environment is bare but for `env`, and `HOME` has no caches."""
    return run_command([sys.executable, "-c", code, *arguments], cwd=cwd, env=env)


def run_sealed(
    code: str, *arguments: str, cwd: Path = ROOT, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run code that fails when anything asks for the network, also when the error is swallowed."""
    return run_fresh(_SEAL + code + _UNSEAL, *arguments, cwd=cwd, env=env)


def run_command(
    command: Sequence[str], *, cwd: Path, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, with a bare environment, and give what it printed."""
    bare = {"PATH": os.environ["PATH"], "HOME": os.devnull, "OMP_NUM_THREADS": "1", **(env or {})}
    return subprocess.run(
        command,
        cwd=cwd,
        env=bare,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        stdin=subprocess.DEVNULL,
    )
