"""Which interpreter has the packages of which system, and how to get those that none has."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Mapping
from pathlib import Path

from .catalogue import OURSELVES, SYSTEMS, System

_PLACES = ("bin/python", "Scripts/python.exe")


def interpreters(peers: Path | None) -> Mapping[str, str]:
    """Give the interpreter of every environment that can be had.

    Args:
        peers: Folder with one virtual environment per name, as `make peers` makes them. For those that are not in
            it, the interpreter that runs this is given if it has the package of any of their systems.
    """
    found = {environment: _interpreter(environment, peers) for environment in _environments()}
    return {environment: python for environment, python in found.items() if python is not None}


def missing(peers: Path | None) -> Mapping[str, str]:
    """Give what to do for every environment without an interpreter."""
    there = interpreters(peers)
    return {
        environment: f"not installed here: make peers PEERS={environment}, or {_pip(environment)}"
        for environment in _environments()
        if environment not in there
    }


def _environments() -> list[str]:
    return list(dict.fromkeys(system.environment for system in SYSTEMS.values()))


def _interpreter(environment: str, peers: Path | None) -> str | None:
    if environment == OURSELVES:
        return sys.executable
    if peers is not None:
        for place in _PLACES:
            # Not resolved: where the link leads, the interpreter does not see the environment.
            if (python := (peers / environment).absolute() / place).is_file():
                return str(python)
    return sys.executable if any(map(_importable, _systems(environment))) else None


def _systems(environment: str) -> list[System]:
    return [system for system in SYSTEMS.values() if system.environment == environment]


def _importable(system: System) -> bool:
    return all(_is_there(module) for module in system.modules)


def _is_there(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ImportError:  # of the package around it
        return False


def _pip(environment: str) -> str:
    return " and ".join(dict.fromkeys(system.pip for system in _systems(environment)))
