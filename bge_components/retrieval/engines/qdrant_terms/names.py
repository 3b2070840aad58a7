"""How names and ids are written in a payload: Qdrant's paths take no quotes, and its strings no lone surrogates."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from ....errors import FilterError

_ESCAPE = "\x1a"
"""The control character SUBSTITUTE; what follows it, up to a full stop, is a code point in hexadecimal digits."""

_UNFIT = re.compile(f'["\\\\{_ESCAPE}\ud800-\udfff]')
_ESCAPED = re.compile(f"{_ESCAPE}([0-9a-f]+)\\.")


def escaped(text: str) -> str:
    r"""Give a text without quotation marks, backslashes and lone surrogates; `unescaped` gives it back."""
    return _UNFIT.sub(lambda found: f"{_ESCAPE}{ord(found[0]):x}.", text)


def unescaped(text: str) -> str:
    """Give the text that `escaped` was given."""
    return _ESCAPED.sub(lambda found: chr(int(found[1], 16)), text) if _ESCAPE in text else text


def with_escaped_names(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Give a copy of JSON values whose names, at any depth, can stand in a path."""
    return {escaped(name): _renamed(value, escaped) for name, value in metadata.items()}


def with_unescaped_names(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Give back what `with_escaped_names` was given."""
    return {unescaped(name): _renamed(value, unescaped) for name, value in metadata.items()}


def _renamed(value: Any, rename: Callable[[str], str]) -> Any:
    if isinstance(value, Mapping):
        return {rename(name): _renamed(inner, rename) for name, inner in value.items()}
    return [_renamed(inner, rename) for inner in value] if isinstance(value, (list, tuple)) else value


def json_path(names: tuple[str, ...]) -> str:
    """Give the path to a field of a payload, every name quoted.

    Raises:
        FilterError: If a name holds what no path can.
    """
    for name in names:
        if found := _UNFIT.search(name.replace(_ESCAPE, "")):
            raise FilterError(
                f"a filter on the field {name!r} cannot be asked of a payload of this layout: {found[0]!r} "
                "cannot stand in Qdrant's paths"
            )
    return ".".join(f'"{name}"' for name in names)
