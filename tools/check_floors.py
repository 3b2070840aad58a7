"""Checks that imports point downward: the floors of the house, held against what the code imports.

Rules:
    1. Every room has a floor. An import goes to a lower floor, or to another module of the same room.
    2. There is no cycle within a room.
    3. The front door (`__init__.py` of the package) imports rooms in its `__getattr__` only; rooms take
       nothing from it but `__version__`.
    4. Some third parties may be imported by some rooms only.

An import counts wherever it stands: inside functions and under TYPE_CHECKING as well, and when it is spelt
`importlib.import_module("name")` or `require("name", extra=...)`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

from package_imports import Import, Module, imports_of, modules_of

GROUND = "ground"
GROUND_MODULES = frozenset(
    {"errors", "vectors", "similarity", "contracts", "settings", "texts", "truncation", "_extras"}
)
BALCONIES = ("langchain", "llama_index", "server", "evaluation", "finetune")
FLOORS = (
    (GROUND,),
    ("catalogue",),
    ("backends",),
    ("pool",),
    ("encoders", "rerankers"),
    ("retrieval", "assembly"),
    BALCONIES,
    ("bench",),
    ("cli",),
)
FLOOR_OF = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
FRONT_DOOR = "the front door"
KEEPERS = {
    "langchain*": BALCONIES,
    "llama_index*": BALCONIES,
    "torch*": ("backends", "bench"),
    "transformers": ("backends",),
    "safetensors": ("backends", "bench"),
    "tokenizers": ("backends", "bench"),
    "huggingface_hub": ("catalogue", "cli"),
    "qdrant_edge": ("retrieval",),
    "qdrant_client": ("retrieval",),
    "grpc": ("retrieval",),
    "filelock": ("retrieval",),
    "threading": ("pool", "backends", "retrieval", "bench"),
    "_thread": ("pool",),
    "concurrent": ("pool", "bench"),
    "multiprocessing": ("pool",),
}
"""Top-level module (a star stands for any ending), and the rooms that may import it."""


@dataclass(frozen=True, order=True, slots=True)
class Violation:
    """One broken rule and where it is broken."""

    path: Path
    line: int
    message: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.message}"


def main(arguments: Sequence[str]) -> int:
    """Check the package folder named in `arguments`, or this project's own; give the exit code."""
    package = Path(arguments[0]) if arguments else Path(__file__).parents[1] / "bge_components"
    found = violations(package)
    for violation in found:
        print(violation, file=sys.stderr)
    if not found:
        print(f"floors: {len(modules_of(package))} modules, every import points downward")
    return 1 if found else 0


def violations(package: Path) -> list[Violation]:
    """Give every broken rule in the package folder, in the order of files and lines."""
    modules = modules_of(package)
    imports = imports_of(modules)
    own = [item for item in imports if item.target.split(".")[0] == package.name]
    foreign = [item for item in imports if item.target.split(".")[0] != package.name]
    return sorted(
        {*unplaced(modules), *climbing(own), *through_front_door(own), *cycles(own), *trespassing(foreign)}
    )


def room_of(name: str) -> str:
    """Give the room of a dotted module name of the package; the modules of the ground floor are one room."""
    if "." not in name:
        return FRONT_DOOR
    room = name.split(".")[1]
    return GROUND if room in GROUND_MODULES else room


def unplaced(modules: Sequence[Module]) -> Iterator[Violation]:
    """Find modules whose room has no floor."""
    for module in modules:
        room = room_of(module.name)
        if room not in FLOOR_OF and room != FRONT_DOOR:
            yield Violation(
                module.path, 1, f"unknown room {room!r}: give it a floor in tools/check_floors.py"
            )


def climbing(imports: Sequence[Import]) -> Iterator[Violation]:
    """Find imports from room to room that do not point downward."""
    for item in imports:
        here, there = room_of(item.source.name), room_of(item.target)
        if here == there or here not in FLOOR_OF or there == FRONT_DOOR:
            continue
        if there not in FLOOR_OF:
            yield _broken(item, f"import of {item.target}: its room has no floor")
        elif FLOOR_OF[there] >= FLOOR_OF[here]:
            why = "strangers on one floor" if FLOOR_OF[there] == FLOOR_OF[here] else "upward"
            yield _broken(
                item,
                f"{here} (floor {FLOOR_OF[here]}) imports {item.target} (floor {FLOOR_OF[there]}): {why}",
            )


def through_front_door(imports: Sequence[Import]) -> Iterator[Violation]:
    """Find what the front door imports too early, and what rooms take from it."""
    for item in imports:
        inside = room_of(item.source.name) != FRONT_DOOR
        if not inside and not item.lazy:
            yield _broken(item, f"the front door imports {item.target} at once: do it in __getattr__")
        elif inside and room_of(item.target) == FRONT_DOOR and item.name != "__version__":
            yield _broken(
                item, f"{item.name or item.target!r} is taken from the front door, not from its room"
            )


def cycles(imports: Sequence[Import]) -> Iterator[Violation]:
    """Find, for each room, one cycle between its modules."""
    inside = [item for item in imports if room_of(item.source.name) == room_of(item.target)]
    graphs: dict[str, TopologicalSorter[str]] = {}
    for item in inside:
        graphs.setdefault(room_of(item.target), TopologicalSorter()).add(item.source.name, item.target)
    for graph in graphs.values():
        try:
            graph.prepare()
        except CycleError as error:
            ring: list[str] = error.args[1]
            first = next(item for item in inside if item.source.name in ring and item.target in ring)
            yield _broken(first, "import cycle: " + " <- ".join(ring))


def trespassing(imports: Sequence[Import]) -> Iterator[Violation]:
    """Find third parties imported by a room that may not."""
    for item in imports:
        room, top = room_of(item.source.name), item.target.split(".")[0]
        for pattern, rooms in KEEPERS.items():
            if _matches(top, pattern) and room not in rooms:
                yield _broken(item, f"{room} imports {item.target}: only {', '.join(rooms)} may")


def _broken(item: Import, message: str) -> Violation:
    return Violation(item.source.path, item.line, message)


def _matches(top: str, pattern: str) -> bool:
    return top.startswith(pattern[:-1]) if pattern.endswith("*") else top == pattern


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
