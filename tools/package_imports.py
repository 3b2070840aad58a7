"""What a package imports, read from its source with `ast`; nothing is run."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass
from pathlib import Path

_IMPORTERS = ("import_module", "__import__", "require")


@dataclass(frozen=True, slots=True)
class Module:
    """One source file of the package; `name` is dotted and starts with the package's own name."""

    name: str
    path: Path

    @property
    def package(self) -> str:
        """The package that `from . import` means in this file."""
        return self.name if self.path.name == "__init__.py" else self.name.rpartition(".")[0]


@dataclass(frozen=True, slots=True)
class Import:
    """One import.

    Attributes:
        source: The file it stands in.
        line: Where.
        target: Dotted name of the module imported.
        name: What is taken from it, "" for the module itself.
        lazy: It runs only when a name is asked for (module-level `__getattr__`), or never (TYPE_CHECKING).
    """

    source: Module
    line: int
    target: str
    name: str
    lazy: bool


def modules_of(package: Path) -> list[Module]:
    """Find the source files under a package folder."""
    return [Module(_dotted(path, package), path) for path in sorted(package.rglob("*.py"))]


def imports_of(modules: Sequence[Module]) -> list[Import]:
    """Read every import of these files, wherever it stands and however it is spelt."""
    own_names = {name for module in modules for name in (module.name, module.package)}
    return [item for module in modules for item in _imports_in(module, own_names)]


def _imports_in(module: Module, own_names: Set[str]) -> Iterator[Import]:
    tree = ast.parse(module.path.read_text(encoding="utf-8"), str(module.path))
    lazy = _lazy_nodes(tree)
    for node in ast.walk(tree):
        for target, name in _targets(node, module):
            if f"{target}.{name}" in own_names:  # `from . import module` takes a module, not a name in one
                target, name = f"{target}.{name}", ""
            yield Import(module, getattr(node, "lineno", 0), target, name, node in lazy)


def _dotted(path: Path, package: Path) -> str:
    parts = path.relative_to(package.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _lazy_nodes(tree: ast.Module) -> set[ast.AST]:
    lazy_blocks = (node for node in tree.body if _is_getattr(node) or _is_type_checking(node))
    return {inner for block in lazy_blocks for inner in ast.walk(block)}


def _is_getattr(node: ast.stmt) -> bool:
    return isinstance(node, ast.FunctionDef) and node.name == "__getattr__"


def _is_type_checking(node: ast.stmt) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")


def _targets(node: ast.AST, module: Module) -> Iterator[tuple[str, str]]:
    if isinstance(node, ast.Import):
        yield from ((alias.name, "") for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        base = _absolute("." * node.level + (node.module or ""), module)
        yield from ((base, alias.name) for alias in node.names)
    elif isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] in _IMPORTERS:
        names = [item.value for item in node.args[:1] if isinstance(item, ast.Constant)]
        yield from ((_absolute(name, module), "") for name in names if isinstance(name, str))


def _absolute(name: str, module: Module) -> str:
    level = len(name) - len(name.lstrip("."))
    if level == 0:
        return name
    parents = module.package.split(".")
    return ".".join([*parents[: len(parents) - level + 1], *filter(None, [name[level:]])])
