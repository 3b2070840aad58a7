"""The one place where an index's manifest is read, made, fitted and written."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import fields, replace

from ..contracts import CallOptions, ModelInfo
from ..encoders import Encoder
from ..errors import IndexMismatchError
from ..pool import Lease, Steps
from ..vectors import Encoding
from .bm25 import with_average_words
from .channels import channels_for, channels_there
from .contracts import Engine
from .fingerprint import Fingerprint, address_of, check_fingerprint, fingerprint_of
from .manifest import Manifest
from .projection import Projection
from .settings import IndexSettings
from .writes import Writes


class Ledger:
    """Keeps the manifest of one index, for any number of threads.

    Attributes:
        engine: Where points and manifest are kept.
        encoder: Whose vectors the index holds.
        writes: Those under way.
    """

    def __init__(self, engine: Engine, encoder: Encoder, settings: IndexSettings | None) -> None:
        """Set up.

        Args:
            engine: Not opened yet.
            encoder: Not loaded yet.
            settings: For a new index; None takes those of the index that is there, or the defaults.
        """
        self.engine = engine
        self.encoder = encoder
        self.writes = Writes(engine)
        self._settings = settings
        self._lock = threading.Lock()
        self._manifest: Manifest | None = None
        self._fingerprint: Fingerprint | None = None

    def ready_steps(self, options: CallOptions) -> Steps[Manifest]:
        """Open the engine, once, and give the manifest.

        Raises:
            IndexMismatchError: If the index was made with another encoder or other settings.
        """
        if self._manifest is None:
            wanted = self._stored()
            if wanted is None:
                wanted = self._new((yield from self._info_steps(options)))
            with self._lock:
                if self._manifest is None:
                    self.engine.open(wanted.channels)
                    self._manifest = self._stored() or self._kept(wanted)
        elif not self._manifest.calibrated:
            self._manifest = self._stored() or self._manifest  # another process may have added documents
        return self._manifest

    def manifest_for(self, texts: Sequence[str], encoding: Encoding | None) -> Manifest:
        """Give the manifest, fitted to these first documents if it was not before, by whichever process.

        Args:
            texts: What is to be counted by BM25.
            encoding: Of the same texts; None where the index keeps nothing that is encoded.

        Raises:
            InputError: If they are too few to fit a projection to.
        """
        manifest = self._opened()
        if manifest.calibrated:
            return manifest
        with self._lock:
            manifest = self._stored() or manifest
            if not manifest.calibrated:
                manifest = self._kept(_fitted(manifest, texts, encoding))
            self._manifest = manifest
        return manifest

    def note_windows(self) -> None:
        """Write down that a document of several windows is stored."""
        if not self._opened().windowed:
            with self._lock:
                self._manifest = self._kept(replace(self._stored() or self._opened(), windowed=True))

    def windowed(self) -> bool:
        """Say whether a document was ever stored in several windows, by whichever process."""
        return self._opened().windowed or bool((self.engine.manifest() or {}).get("windowed"))

    def _opened(self) -> Manifest:
        assert self._manifest is not None, "ready_steps comes first"
        return self._manifest

    def _kept(self, manifest: Manifest) -> Manifest:
        self.engine.keep_manifest(manifest.todict())
        return manifest

    def _info_steps(self, options: CallOptions) -> Steps[ModelInfo]:
        lease: Lease = yield self.encoder.pool.open(self.encoder.source, options.remaining_s())
        with lease:
            return lease.info

    def _new(self, info: ModelInfo) -> Manifest:
        settings = self._settings or IndexSettings()
        dimensions, there = self.encoder.settings.dimensions, self.engine.foreign_channels()
        return Manifest(
            fingerprint=self._given(),
            model=address_of(self.encoder),
            channels=(
                channels_there(info, dimensions, settings.channels, there, repr(self.engine))
                if there
                else channels_for(info, dimensions, settings, self.engine.capabilities)
            ),
            settings=settings,
        )

    def _given(self) -> Fingerprint:
        """Give the encoder's fingerprint, which takes reading the checkpoint's files once."""
        if self._fingerprint is None:
            self._fingerprint = fingerprint_of(self.encoder)
        return self._fingerprint

    def _stored(self) -> Manifest | None:
        """Give the manifest that is kept with the points; None where there is none yet."""
        stored = self.engine.manifest()
        if stored is None:
            return None
        manifest = Manifest.from_dict(stored, repr(self.engine))
        check_fingerprint(manifest.fingerprint, self._given(), repr(self.engine))
        if self._settings is not None:
            _check_settings(manifest.settings, self._settings, repr(self.engine))
        return manifest


def _fitted(manifest: Manifest, texts: Sequence[str], encoding: Encoding | None) -> Manifest:
    settings, projection = manifest.settings, manifest.projection
    if manifest.wants_words:
        settings = replace(settings, bm25=with_average_words(settings.bm25, texts))
    if manifest.wants_projection and settings.multi.dim and encoding is not None:
        projection = Projection.fit(encoding.need_multi().values, settings.multi.dim)
    return replace(manifest, settings=settings, projection=projection)


def _check_settings(stored: IndexSettings, given: IndexSettings, where: str) -> None:
    """Compare settings, but for what was fitted to the first documents.

    Raises:
        IndexMismatchError: If they differ.
    """
    if given.bm25.average_words is None:
        given = replace(given, bm25=replace(given.bm25, average_words=stored.bm25.average_words))
    if stored != given:
        lines = "".join(
            f"\n  {one.name}: index {getattr(stored, one.name)!r}, given {getattr(given, one.name)!r}"
            for one in fields(stored)
            if getattr(stored, one.name) != getattr(given, one.name)
        )
        raise IndexMismatchError(
            f"{where} was made with other settings; these differ:{lines}\nOpen it without settings, or make a new "
            "index."
        )
