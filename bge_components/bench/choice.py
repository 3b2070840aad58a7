"""From what was asked for by name to shapes, systems and workloads."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from ..errors import InputError
from .shapes import Shape, available, named, of_checkpoint
from .systems.catalogue import SYSTEMS, System, worth_running
from .workloads import WORKLOADS, check_name

_USUAL = ("all-minilm-l6", "bge-small", "bge-base", "bge-m3", "bge-reranker-v2-m3")
_QUICK = ("mini",)


def chosen_shapes(
    names: Sequence[str], models: Sequence[str] = (), *, quick: bool = False
) -> tuple[Shape, ...]:
    """Give the shapes of these names and those of the checkpoints; without either the usual ones.

    Args:
        names: Of `SHAPES`.
        models: Folders of checkpoints, or their names.
        quick: Whether the usual ones are to be few and small.

    Raises:
        InputError: If there is no such shape.
        CheckpointError: If a checkpoint cannot be had, or is of a kind that is not measured.
    """
    if not names and not models:
        here = available()
        names = (
            _QUICK
            if quick
            else [name for name in _USUAL if name in here] + ["mini"] * (_USUAL[0] not in here)
        )
    return (*(named(name) for name in names), *(of_checkpoint(model) for model in models))


def chosen_systems(names: Sequence[str], flags: Collection[str] = ()) -> tuple[System, ...]:
    """Give the systems whose name is, or begins with, one of these, ours first.

    Args:
        names: Without any, all that make sense on this processor.
        flags: What the processor has ("amx_bf16", ...).

    Raises:
        InputError: If a name is the beginning of none.
    """
    for name in names:
        if not any(system.startswith(name) for system in SYSTEMS):
            raise InputError(f"--system {name}: there is no such system; there are {', '.join(SYSTEMS)}")
    if not names:
        return worth_running(flags)
    return tuple(one for name, one in SYSTEMS.items() if name.startswith(tuple(names)))


def chosen_workloads(names: Sequence[str]) -> tuple[str, ...]:
    """Give the workloads of these names in the order in which they run; without names all of them.

    Raises:
        InputError: If there is no such workload.
    """
    for name in names:
        check_name(name)
    return tuple(name for name in WORKLOADS if not names or name in names)
