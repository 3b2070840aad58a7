"""From the options of the command line to the arguments that every component takes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from .options import Backend, DType

if TYPE_CHECKING:
    from ..assembly import ModelArguments


def model_arguments(
    model: str,
    *,
    device: str | None,
    dtype: DType,
    backend: Backend,
    cache_folder: Path | None,
    offline: bool,
    revision: str | None = None,
    trust_remote_code: bool = False,
) -> ModelArguments:
    """Give the arguments; the first call imports what runs models.

    Raises:
        InputError: If the device is none of this machine's.
    """
    from ..assembly import ModelArguments
    from ..backends.devices import checked_device

    if device is not None:
        checked_device(device)
    return ModelArguments(
        model=model,
        revision=revision,
        device=device,
        dtype=dtype.value,
        backend=backend.value,
        cache_folder=None if cache_folder is None else str(cache_folder),
        local_files_only=offline,
        trust_remote_code=trust_remote_code,
    )
