"""Optional dependencies: import them, or say which pip line brings them."""

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
