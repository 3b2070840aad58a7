"""An index in a folder, as it is found before any checkpoint is looked at."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from ..assembly import ModelArguments, make_encoder
from ..catalogue import find
from ..catalogue.files import local_folder
from ..encoders import Encoder, EncoderSettings
from ..errors import BrokenIndexError, IndexMismatchError, IndexStoreError, InputError
from ..retrieval import Engine, IndexSettings
from ..retrieval.contracts import StorageType
from ..retrieval.engines.edge import EdgeEngine
from ..retrieval.manifest import Manifest
from ..retrieval.settings import LongDocuments

_COMMIT_DIGITS = 40


@dataclass(frozen=True, kw_only=True)
class IndexChoice:
    """What the maker of an index chooses, as `IndexSettings` has it; None is what is there, or the default."""

    channels: tuple[str, ...] | None = None
    projection: int | None = None
    storage: StorageType | None = None
    long_documents: LongDocuments | None = None
    window_tokens: int | None = None


@dataclass(frozen=True)
class StoredIndex:
    """The index of a folder.

    Attributes:
        path: The folder.
        engine: That keeps it; not opened yet.
        manifest: What it says of itself; None where there is no index yet.
    """

    path: Path
    engine: Engine
    manifest: Manifest | None

    def need_manifest(self) -> Manifest:
        """Give the manifest.

        Raises:
            InputError: If there is no index.
        """
        if self.manifest is None:
            raise InputError(
                f"there is no index in {str(self.path)!r}: make one with `bge index {self.path} FILES`"
            )
        return self.manifest

    def encoder(self, arguments: ModelArguments) -> Encoder:
        """Give an encoder that goes with the index: what its maker set otherwise than the checkpoint is set again."""
        if self.manifest is None:
            return make_encoder(arguments, EncoderSettings(on_truncation="ignore"))
        made = self.manifest.fingerprint
        encoder = make_encoder(arguments)
        dimensions = made["dimensions"]
        settings = EncoderSettings(
            query_instruction=made["query_instruction"],
            document_instruction=made["document_instruction"],
            normalize=made["normalize"],
            dimensions=None if dimensions == encoder.checkpoint.dim else dimensions,
            on_truncation="ignore",
        )
        return Encoder(encoder.source, settings)

    def settings(self, wanted: IndexChoice) -> IndexSettings:
        """Give the settings to open the index with: those it has, for a new one the defaults and what is wanted.

        Raises:
            InputError: If the index has other ones; the message names the options.
        """
        if self.manifest is None:
            return _chosen(IndexSettings(), wanted)
        there = self.manifest.settings
        kept = tuple(channel.name for channel in self.manifest.channels)
        if wanted.channels is not None and set(wanted.channels) == set(kept):
            wanted = replace(wanted, channels=None)
        _check_kept(replace(there, channels=kept), _chosen(replace(there, channels=kept), wanted))
        return there


def stored_index(path: Path) -> StoredIndex:
    """Look at the index in a folder.

    Raises:
        InputError: If the folder holds other files than an index.
        BrokenIndexError: If what it says of itself cannot be read.
    """
    engine = EdgeEngine(path)
    try:
        stored = engine.manifest()
    except BrokenIndexError:
        raise
    except IndexStoreError as error:
        raise InputError(str(error)) from error
    manifest = None if stored is None else Manifest.from_dict(stored, repr(engine))
    return StoredIndex(path, engine, manifest)


def made_with(arguments: ModelArguments, manifest: Manifest, named: str | None) -> ModelArguments:
    """Let arguments name the checkpoint that an index was made with, on the hub the very commit.

    Args:
        arguments: For all but the name.
        manifest: Of the index.
        named: The checkpoint that was asked for; None takes that of the index. One in a folder is looked at later.

    Raises:
        IndexMismatchError: If another name was asked for; neither is looked for then.
    """
    if named is not None:
        _check_same_name(named, manifest.model)
        return arguments
    revision = manifest.fingerprint["revision"] or ""
    on_hub = len(revision) == _COMMIT_DIGITS and not Path(manifest.model).is_absolute()
    return replace(
        arguments, model=manifest.model, revision=arguments.revision or (revision if on_hub else None)
    )


def _chosen(settings: IndexSettings, wanted: IndexChoice) -> IndexSettings:
    dense, multi = settings.dense, settings.multi
    return replace(
        settings,
        channels=wanted.channels or settings.channels,
        dense=replace(dense, storage=wanted.storage or dense.storage),
        multi=replace(multi, dim=wanted.projection or multi.dim, storage=wanted.storage or multi.storage),
        long_documents=wanted.long_documents or settings.long_documents,
        window_tokens=wanted.window_tokens or settings.window_tokens,
    )


def _check_kept(there: IndexSettings, wanted: IndexSettings) -> None:
    has, asked = _told(there), _told(wanted)
    others = [
        f"{option}: it has {has[option]}, asked {asked[option]}"
        for option in has
        if has[option] != asked[option]
    ]
    if others:
        raise InputError(
            f"what an index keeps cannot be changed: {'; '.join(others)}. Leave this out, or make another index"
        )


def _told(settings: IndexSettings) -> dict[str, str]:
    """Tell settings as the options of the command line that choose them."""
    return {
        "--channels": ",".join(settings.channels or ()),
        "--projection": str(settings.multi.dim or "none"),
        "--storage": " and ".join(dict.fromkeys((settings.dense.storage, settings.multi.storage))),
        "--long": settings.long_documents,
        "--window-tokens": str(settings.window_tokens or "none"),
    }


def _check_same_name(asked: str, made: str) -> None:
    if local_folder(asked) or Path(made).is_absolute() or _full_name(asked) == _full_name(made):
        return
    raise IndexMismatchError(
        f"the index was made with {made!r}, and --model names {asked!r}, whose vectors cannot be compared with its: "
        "leave --model out, or make another index"
    )


def _full_name(name: str) -> str:
    entry = find(name)
    return name if entry is None else entry.name
