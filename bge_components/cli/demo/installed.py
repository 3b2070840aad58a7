"""Text that every machine has: the descriptions and docstrings of the Python packages that are installed."""

from __future__ import annotations

import ast
import re
import warnings
from collections import deque
from collections.abc import Iterable, Iterator
from importlib import metadata
from pathlib import Path

from .passages import Document

DISTRIBUTION = "bge-components"
_ROOTS = ("numpy", "torch", "transformers", "tokenizers", "safetensors", "huggingface-hub", "typer", "rich")
_DOCSTRINGS = {
    "torch": ("torch/nn/modules/", "torch/nn/utils/", "torch/optim/"),
    "numpy": ("numpy/lib/", "numpy/linalg/", "numpy/fft/"),
    "rich": ("rich/",),
}
"""Whose docstrings are read, and below which folders: prose that is worth searching."""
_NOT_PUBLIC = re.compile(r"(^|/)(tests?|testing|conftest|setup)(/|\.py|_)|/_unicode_data/")
_SECTION = re.compile(
    r"^\s*(?:(?:Args|Arguments|Parameters|Returns?|Raises|Yields|Attributes|Shape|Examples?)\s*:{1,2}\s*$"
    r"|(?:Parameters|Returns|Examples|See Also|References)\s*\n\s*-{3,})",
    re.MULTILINE,
)
_MIN_WORDS = 25


def installed_documents() -> Iterator[Document]:
    """Give descriptions, then docstrings: first of what this package needs, then of everything else installed."""
    needed = [name for name in _needed() if _canonical(name) != DISTRIBUTION]
    found = {_canonical(one.name): one for one in metadata.distributions() if one.name}
    others = sorted(set(found) - set(needed) - {DISTRIBUTION})
    yield from _descriptions(found, needed)
    for name, folders in _DOCSTRINGS.items():
        if name in found:
            yield from _docstrings(found[name], name, folders)
    yield from _descriptions(found, others)


def _descriptions(found: dict[str, metadata.Distribution], names: Iterable[str]) -> Iterator[Document]:
    for name in names:
        if name not in found:
            continue
        fields = found[name].metadata.json
        kind = ".rst" if "rst" in str(fields.get("description_content_type", "")) else ".md"
        parts = [str(fields[key]) for key in ("summary", "description") if fields.get(key)]
        yield Document(name, name, "\n\n".join(parts), kind)


def _docstrings(one: metadata.Distribution, name: str, folders: tuple[str, ...]) -> Iterator[Document]:
    """Read docstrings from source files, which are parsed and never imported."""
    for path in sorted(str(file) for file in one.files or [] if str(file).endswith(".py")):
        if not path.startswith(folders) or _NOT_PUBLIC.search(path):
            continue
        tree = _parsed(Path(str(one.locate_file(path))))
        module = path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        for title, text in _described(tree, module):
            yield Document(name, _public(title), text, ".rst")


def _parsed(path: Path) -> ast.Module:
    """Give the syntax tree of a file; an empty one if it cannot be read: there is enough text without it."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the file's own syntax
            return ast.parse(path.read_text(encoding="utf-8"))
    except (OSError, SyntaxError, ValueError):
        return ast.Module(body=[], type_ignores=[])


def _described(tree: ast.Module, module: str) -> Iterator[tuple[str, str]]:
    """Give (dotted name, opening prose) of the public classes, methods and functions that say enough."""
    inside: deque[tuple[str, ast.Module | ast.ClassDef]] = deque([(module, tree)])
    while inside:
        name, scope = inside.popleft()
        for node in [scope, *scope.body]:
            if not isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) or _is_private(node):
                continue
            title = name if node is scope else f"{name}.{getattr(node, 'name', '')}"
            if isinstance(node, ast.ClassDef) and node is not scope:
                inside.append((title, node))
                continue
            prose = _SECTION.split(ast.get_docstring(node) or "", maxsplit=1)[0]
            if len(prose.split()) >= _MIN_WORDS:
                yield title, prose


def _public(name: str) -> str:
    """Leave private modules out of a dotted name."""
    return ".".join(part for part in name.split(".") if not part.startswith("_"))


def _is_private(node: ast.AST) -> bool:
    return getattr(node, "name", "").startswith("_")


def _needed() -> list[str]:
    """Give the canonical names of this package's dependencies and theirs, nearest first."""
    waiting, names = deque(_ROOTS), dict[str, None]()
    while waiting:
        name = _canonical(waiting.popleft())
        if name in names:
            continue
        names[name] = None
        try:
            requirements = metadata.requires(name) or []
        except metadata.PackageNotFoundError:
            continue
        waiting.extend(
            match[0] for line in requirements if "extra" not in line if (match := re.match(r"[\w.-]+", line))
        )
    return list(names)


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
