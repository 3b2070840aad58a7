"""Optional dependencies: import them, say which pip line brings them, or do without."""

from __future__ import annotations

import importlib
from types import ModuleType

from .errors import MissingDependencyError


def require(module: str, *, extra: str) -> ModuleType:
    """Import an optional module.

    Args:
        module: Dotted name of the module.
        extra: The extra of this distribution that installs it.

    Raises:
        MissingDependencyError: If it is not installed; the message holds the exact pip line.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is not None and module.split(".")[0] != error.name.split(".")[0]:
            raise
        raise MissingDependencyError(
            f"{module!r} is not installed. Install it with: pip install 'bge-components[{extra}]'"
        ) from error


def foreign_base(module: str, name: str, *, otherwise: type) -> type:
    """Give a class of an optional module, to be a base where that module is installed.

    Args:
        module: Dotted name of the module.
        name: The class.
        otherwise: What is given where it is not installed.

    Raises:
        ModuleNotFoundError: If it is installed, but something that it needs is not.
    """
    try:
        return getattr(importlib.import_module(module), name)  # type: ignore[no-any-return]
    except ModuleNotFoundError as error:
        if error.name is not None and module.split(".")[0] != error.name.split(".")[0]:
            raise
        return otherwise
