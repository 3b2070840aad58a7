"""An index in a folder, as it is found before any checkpoint is looked at."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from ..assembly import ModelArguments, make_encoder
from ..encoders import Encoder, EncoderSettings
from ..errors import InputError
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
        """Give the settings to open the index with: those it has, with what is wanted otherwise."""
        there = IndexSettings() if self.manifest is None else self.manifest.settings
        kept = () if self.manifest is None else {channel.name for channel in self.manifest.channels}
        channels = (
            there.channels if wanted.channels is None or set(wanted.channels) == kept else wanted.channels
        )
        return replace(
            there,
            channels=channels,
            dense=replace(there.dense, storage=wanted.storage or there.dense.storage),
            multi=replace(
                there.multi,
                dim=wanted.projection or there.multi.dim,
                storage=wanted.storage or there.multi.storage,
            ),
            long_documents=wanted.long_documents or there.long_documents,
            window_tokens=wanted.window_tokens or there.window_tokens,
        )


def stored_index(path: Path) -> StoredIndex:
    """Look at the index in a folder.

    Raises:
        BrokenIndexError: If what it says of itself cannot be read.
    """
    engine = EdgeEngine(path)
    stored = engine.manifest()
    manifest = None if stored is None else Manifest.from_dict(stored, repr(engine))
    return StoredIndex(path, engine, manifest)


def made_with(arguments: ModelArguments, manifest: Manifest) -> ModelArguments:
    """Let arguments name the checkpoint that an index was made with, on the hub the very commit."""
    revision = manifest.fingerprint["revision"] or ""
    on_hub = len(revision) == _COMMIT_DIGITS and not Path(manifest.model).is_absolute()
    return replace(
        arguments, model=manifest.model, revision=arguments.revision or (revision if on_hub else None)
    )
