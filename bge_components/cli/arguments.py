"""From the options of the command line to the arguments that every component takes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import InputError
from .options import Backend, DType

if TYPE_CHECKING:
    from ..assembly import ModelArguments

_DEVICE_KINDS = ("cpu", "cuda", "mps", "xpu")


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

    if device is not None:
        _check_device(device)
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


def _check_device(device: str) -> None:
    from ..backends import available_devices

    kind, _, index = device.partition(":")
    if kind not in _DEVICE_KINDS or (index and not index.isdecimal()):
        raise InputError(
            f"--device must be one of {', '.join(_DEVICE_KINDS)}, or cuda:1 and so on; got {device!r}"
        )
    if kind == "cuda" and f"cuda:{index or 0}" not in available_devices():
        raise InputError(f"--device {device}: torch finds only {', '.join(available_devices())} here")
