"""What must be the same for an encoder's vectors to be comparable with those that an index holds."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path
from typing import Any

from ..catalogue.files import local_folder
from ..encoders import Encoder
from ..encoders.reader import instruction_for
from ..errors import IndexMismatchError

Fingerprint = dict[str, Any]
_READ_WHOLE = ("config.json", "tokenizer.json", "tokenizer_config.json")
_SAMPLES, _SAMPLE_BYTES = 512, 4096
_WEIGHTS = (".safetensors", ".bin", ".pt", ".model", ".txt")


def fingerprint_of(encoder: Encoder) -> Fingerprint:
    """Describe an encoder by what changes its vectors; reads the checkpoint's files, loads nothing.

    Number formats, devices, batch sizes and length limits are left out: vectors can be compared all the same.
    """
    checkpoint, settings = encoder.checkpoint, encoder.settings
    key = encoder.source.resolve()
    queries, documents = (instruction_for(settings, checkpoint, role) for role in ("query", "document"))
    return {
        "checkpoint": checkpoint.name if key.revision else Path(checkpoint.name).name,
        "revision": key.revision or _digest(Path(key.folder)),
        "pooling": checkpoint.pooling,
        "dimensions": settings.dimensions or checkpoint.dim,
        "normalize": checkpoint.normalize if settings.normalize is None else settings.normalize,
        "query_instruction": checkpoint.query_instruction if queries is None else queries,
        "document_instruction": checkpoint.document_instruction if documents is None else documents,
    }


def address_of(encoder: Encoder) -> str:
    """Say under which name the checkpoint can be found again: its own, or the absolute path of a local folder."""
    return str(local_folder(encoder.name) or encoder.name)


def check_fingerprint(stored: Fingerprint, given: Fingerprint, where: str) -> None:
    """Compare the fingerprint of an index with that of the encoder that is to use it.

    Raises:
        IndexMismatchError: If they differ; the message shows both.
    """
    names = {name for name in {**stored, **given} if stored.get(name) != given.get(name)}
    if stored.get("revision") and "revision" not in names:
        names.discard("checkpoint")  # the same files under another name
    if not names:
        return
    lines = "".join(
        f"\n  {name}: index {stored.get(name)!r}, encoder {given.get(name)!r}" for name in sorted(names)
    )
    raise IndexMismatchError(
        f"{where} was made with another encoder; these differ:{lines}\nUse the encoder it was made with, or make a "
        f"new index.\n  index:   {stored}\n  encoder: {given}"
    )


def _digest(folder: Path) -> str | None:
    """Identify a local folder by its configuration, its tokeniser and samples of its weights."""
    if not folder.is_dir():
        return None
    digest = blake2b(digest_size=8)
    for path in sorted(folder.rglob("*")):
        if path.name in _READ_WHOLE:
            digest.update(path.read_bytes())
        elif path.suffix in _WEIGHTS:
            digest.update(f"{path.relative_to(folder).as_posix()} {path.stat().st_size}".encode())
            for block in _samples(path):
                digest.update(block)
    return digest.hexdigest()


def _samples(path: Path) -> Iterator[bytes]:
    """Give blocks from all over a file: weights that were trained further differ everywhere."""
    size = path.stat().st_size
    with path.open("rb") as file:
        for place in range(_SAMPLES):
            file.seek(max(0, size - _SAMPLE_BYTES) * place // (_SAMPLES - 1))
            yield file.read(_SAMPLE_BYTES)
