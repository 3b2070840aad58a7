from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from check_floors import FLOORS, GROUND_MODULES, violations

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "bge_components"


def build(folder: Path, sources: dict[str, str]) -> Path:
    """Write a package `house` of these files (paths without their ending) and their source."""
    package = folder / "house"
    for name, source in {"__init__": "", **sources}.items():
        path = package / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source, encoding="utf-8")
    return package


def messages(package: Path) -> list[str]:
    return [violation.message for violation in violations(package)]


def test_this_house_keeps_its_floors() -> None:
    assert [str(violation) for violation in violations(PACKAGE)] == []


def test_no_room_stands_on_two_floors() -> None:
    rooms = [room for rooms in FLOORS for room in rooms]

    assert len(rooms) == len(set(rooms))
    assert not GROUND_MODULES & set(rooms)


def test_a_sound_house_passes(tmp_path: Path) -> None:
    package = build(
        tmp_path,
        {
            "errors": "class E(Exception): ...\n",
            "settings": "from .errors import E\n",
            "catalogue/entries": "from ..errors import E\nimport huggingface_hub\n",
            "backends/torch/forward": "from ...catalogue.entries import E\nimport torch, threading\n",
            "pool/steps": "import concurrent.futures\n",
            "pool/pool": "from . import steps\nfrom ..errors import E\n",
            "encoders/dense": "from ..pool.pool import steps\nfrom .. import errors\n",
            "langchain/embeddings": "from langchain_core import embeddings\nfrom ..encoders import dense\n",
            "cli/main": "from .. import __version__\nfrom ..langchain import embeddings\n",
            "__init__": (
                "from typing import TYPE_CHECKING\n__version__ = '1'\n"
                "if TYPE_CHECKING:\n    from .encoders import dense\n"
                "def __getattr__(name):\n    from . import encoders\n    return getattr(encoders, name)\n"
            ),
        },
    )

    assert messages(package) == []


UPWARD = {
    "at the top": "from ..pool import steps\n",
    "as an absolute name": "import house.pool.steps\n",
    "from the package": "from .. import pool\n",
    "inside a function": "def f():\n    from ..pool import steps\n",
    "for types only": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from ..pool import steps\n",
    "by name": "from importlib import import_module\nimport_module('house.pool.steps')\n",
    "by relative name": "import importlib\nimportlib.import_module('..pool', __package__)\n",
}


@pytest.mark.parametrize("source", UPWARD.values(), ids=UPWARD.keys())
def test_an_upward_import_is_refused_however_it_is_spelt(tmp_path: Path, source: str) -> None:
    package = build(tmp_path, {"pool/steps": "", "backends/forward": source})

    assert len(found := messages(package)) == 1
    assert found[0].startswith("backends (floor 2) imports house.pool")
    assert found[0].endswith("(floor 3): upward")


def test_an_upward_import_from_the_ground_is_refused(tmp_path: Path) -> None:
    package = build(tmp_path, {"catalogue/entries": "", "errors": "from .catalogue import entries\n"})

    assert messages(package) == ["ground (floor 0) imports house.catalogue.entries (floor 1): upward"]


def test_a_violation_names_file_and_line(tmp_path: Path) -> None:
    package = build(
        tmp_path, {"pool/steps": "", "catalogue/entries": "import os\n\nfrom ..pool import steps\n"}
    )

    (violation,) = violations(package)
    assert (violation.path, violation.line) == (package / "catalogue" / "entries.py", 3)


@pytest.mark.parametrize(("here", "there"), [("encoders", "rerankers"), ("langchain", "llama_index")])
def test_rooms_on_one_floor_are_strangers(tmp_path: Path, here: str, there: str) -> None:
    package = build(tmp_path, {f"{there}/a": "", f"{here}/b": f"from ..{there} import a\n"})

    assert len(found := messages(package)) == 1
    assert "strangers" in found[0]


def test_a_room_without_a_floor_is_refused(tmp_path: Path) -> None:
    package = build(tmp_path, {"cellar/wine": "", "helpers": "", "cli/main": "from ..cellar import wine\n"})

    assert [message.split(":")[0] for message in messages(package)] == [
        "unknown room 'cellar'",
        "import of house.cellar.wine",
        "unknown room 'helpers'",
    ]


def test_a_cycle_within_a_room_is_refused(tmp_path: Path) -> None:
    package = build(
        tmp_path,
        {
            "pool/a": "from .b import x\n",
            "pool/b": "def f():\n    from . import c\n",
            "pool/c": "from house.pool.a import y\n",
        },
    )

    assert len(found := messages(package)) == 1
    assert "import cycle" in found[0]
    assert all(f"house.pool.{name}" in found[0] for name in "abc")


def test_a_cycle_between_a_room_and_its_own_door_is_refused(tmp_path: Path) -> None:
    package = build(tmp_path, {"pool/__init__": "from .a import x\n", "pool/a": "from . import x\n"})

    assert len(found := messages(package)) == 1
    assert "import cycle" in found[0]


def test_a_cycle_on_the_ground_floor_is_refused(tmp_path: Path) -> None:
    package = build(tmp_path, {"errors": "from .texts import x\n", "texts": "from .errors import y\n"})

    assert len(found := messages(package)) == 1
    assert "import cycle" in found[0]


@pytest.mark.parametrize(
    "source", ["from .encoders import dense\n", "def f():\n    from . import encoders\n"]
)
def test_a_front_door_that_is_not_lazy_is_refused(tmp_path: Path, source: str) -> None:
    package = build(tmp_path, {"__init__": source, "encoders/__init__": "", "encoders/dense": ""})

    assert len(found := messages(package)) == 1
    assert "the front door imports house.encoders" in found[0]


@pytest.mark.parametrize(
    "source", ["import house\n", "from house import Encoder\n", "from .. import Encoder\n"], ids=repr
)
def test_a_room_that_goes_through_the_front_door_is_refused(tmp_path: Path, source: str) -> None:
    package = build(tmp_path, {"cli/main": source})

    assert len(found := messages(package)) == 1
    assert "front door" in found[0]


FOREIGN = [
    ("encoders", "import torch"),
    ("pool", "from torch import Tensor"),
    ("catalogue", "import transformers"),
    ("encoders", "from tokenizers import Tokenizer"),
    ("rerankers", "import safetensors.torch"),
    ("langchain", "import torch"),
    ("backends", "import huggingface_hub"),
    ("retrieval", "from langchain_core.documents import Document"),
    ("cli", "import langchain_classic"),
    ("encoders", "import llama_index.core"),
    ("encoders", "import threading"),
    ("rerankers", "from concurrent.futures import Future"),
    ("backends", "import multiprocessing"),
    ("server", "from .._extras import require\nrequire('torch', extra='x')"),
]


@pytest.mark.parametrize(("room", "source"), FOREIGN)
def test_a_third_party_in_the_wrong_room_is_refused(tmp_path: Path, room: str, source: str) -> None:
    package = build(tmp_path, {"_extras": "", f"{room}/a": source + "\n"})

    assert len(found := messages(package)) == 1
    assert found[0].startswith(room)
    assert found[0].endswith(" may")


def test_the_front_door_keeps_third_parties_out(tmp_path: Path) -> None:
    package = build(tmp_path, {"__init__": "def __getattr__(name):\n    import torch\n"})

    assert messages(package) == ["the front door imports torch: only backends, bench may"]


def test_the_command_prints_what_is_broken_and_fails(tmp_path: Path) -> None:
    package = build(tmp_path, {"encoders/dense": "import torch\n"})
    command = [sys.executable, str(ROOT / "tools" / "check_floors.py"), str(package)]

    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.returncode == 1
    assert (
        done.stderr.strip()
        == f"{package / 'encoders' / 'dense.py'}:1: encoders imports torch: only backends, bench may"
    )
