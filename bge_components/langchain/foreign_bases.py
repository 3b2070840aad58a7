"""Finds base classes of packages that may be missing."""

from __future__ import annotations

from importlib import import_module


def foreign_base(package: str, name: str, otherwise: type) -> type:
    """Give a class of another package.

    Args:
        package: Dotted name of its module.
        name: The class.
        otherwise: What is given where that package is not installed.

    Raises:
        ModuleNotFoundError: If the package is installed, but something that it needs is not.
    """
    try:
        return getattr(import_module(package), name)  # type: ignore[no-any-return]
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] != package.split(".")[0]:
            raise
        return otherwise
