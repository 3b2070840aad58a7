from __future__ import annotations

import json
from pathlib import Path

import pytest
from package_imports import modules_of

from house.sealed import ROOT, run_fresh

PACKAGE = ROOT / "bge_components"
FRAMEWORKS = {"langchain_core", "langchain_classic", "llama_index"}
NOT_LOADED_BY = {
    "": {"torch", "transformers", "tokenizers", "huggingface_hub", "typer", "numpy", *FRAMEWORKS},
    "catalogue": {"torch", "transformers", *FRAMEWORKS},
    "backends": {"transformers", *FRAMEWORKS},
    "pool": {"transformers", *FRAMEWORKS},
    "encoders": {"transformers", *FRAMEWORKS},
    "rerankers": {"transformers", *FRAMEWORKS},
    "langchain": {"llama_index"},
    "llama_index": {"langchain_core"},
}
"""For each room ("" is the front door) what a fresh interpreter must not have loaded after importing it."""

IMPORT_ONE = """
import importlib, json, sys
importlib.import_module(sys.argv[1])
print(json.dumps(sorted({name.split(".")[0] for name in sys.modules})))
"""

IMPORT_EACH_ALONE = """
import importlib, json, os, sys, traceback
for name in (
    "torch", "numpy", "huggingface_hub", "typer", "rich", "psutil", "llama_index.core", "langchain_qdrant",
    "langchain_core.documents", "langchain_core.embeddings", "langchain_core.retrievers",
    "langchain_core.vectorstores",
):
    importlib.import_module(name)  # once, before the forks: importing them again for each module takes minutes
assert not any(name.startswith("bge_components") for name in sys.modules)
failed, running = [], {}
def wait_for_one():
    child, status = os.wait()
    name = running.pop(child)
    if status != 0:
        failed.append(name)
for name in sys.argv[1:]:
    if len(running) >= (os.cpu_count() or 1):
        wait_for_one()
    child = os.fork()
    if child == 0:
        try:
            importlib.import_module(name)
        except BaseException:
            traceback.print_exc()
            sys.stderr.flush()
            os._exit(1)
        os._exit(0)
    running[child] = name
while running:
    wait_for_one()
print(json.dumps(failed))
"""


@pytest.mark.parametrize("room", NOT_LOADED_BY, ids=lambda room: room or "front_door")
def test_importing_a_room_loads_only_what_it_needs(room: str) -> None:
    assert (PACKAGE / room).exists()

    done = run_fresh(IMPORT_ONE, f"bge_components.{room}".rstrip("."))

    assert done.returncode == 0, done.stderr
    assert NOT_LOADED_BY[room] & set(json.loads(done.stdout)) == set()


def test_every_module_can_be_imported_first() -> None:
    names = [
        module.name
        for module in modules_of(PACKAGE)
        if module.path.name != "__main__.py" and not _runs_elsewhere(module.path)
    ]

    done = run_fresh(IMPORT_EACH_ALONE, *names)

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [], done.stderr


def _runs_elsewhere(path: Path) -> bool:
    """Say whether a file is for the interpreter of a system that is measured, beside that system's own packages."""
    return path.parent.name == "systems" and (path.stem.startswith("adapter_") or path.stem == "exports")
