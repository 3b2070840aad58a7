"""What an index writes down about itself: how it was made, and what was fitted to its first documents."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from ..errors import BrokenIndexError, IndexMismatchError
from .bm25 import Bm25Settings
from .contracts import Channel, ChannelKind
from .fingerprint import Fingerprint
from .projection import Projection
from .settings import DenseSettings, IndexSettings, TokenSettings

FORMAT = 1


@dataclass(frozen=True, eq=False, kw_only=True)
class Manifest:
    """Facts of an index.

    Attributes:
        fingerprint: Of the encoder.
        model: Name or absolute path of the encoder's checkpoint where the index was made, to find it again. Another
            one will do if the fingerprint is the same.
        channels: What is kept of every passage.
        settings: As they were chosen; `bm25` with what was fitted to the first documents.
        projection: Of token vectors, once fitted; None where none is wanted.
        windowed: Whether a document was ever stored in several windows.
    """

    fingerprint: Fingerprint
    model: str
    channels: tuple[Channel, ...]
    settings: IndexSettings
    projection: Projection | None = None
    windowed: bool = False

    @property
    def calibrated(self) -> bool:
        """Whether everything that is fitted to documents has been."""
        return not self.wants_words and not self.wants_projection

    @property
    def wants_words(self) -> bool:
        """Whether BM25 has still to learn how long documents are."""
        return self.channel("bm25") is not None and self.settings.bm25.average_words is None

    @property
    def wants_projection(self) -> bool:
        """Whether the projection of token vectors has still to be fitted."""
        return self.channel("multi") is not None and bool(self.settings.multi.dim) and self.projection is None

    def channel(self, name: str) -> Channel | None:
        """Give the channel of a name."""
        return next((channel for channel in self.channels if channel.name == name), None)

    def todict(self) -> dict[str, Any]:
        """Give JSON values."""
        return {
            "format": FORMAT,
            "fingerprint": self.fingerprint,
            "model": self.model,
            "channels": [{**asdict(channel), "kind": str(channel.kind)} for channel in self.channels],
            "settings": asdict(self.settings),
            "projection": self.projection.todict() if self.projection else None,
            "windowed": self.windowed,
        }

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any], where: str) -> Manifest:
        """Read what `todict` gave.

        Raises:
            IndexMismatchError: If it is of another format.
            BrokenIndexError: If it cannot be read.
        """
        if stored.get("format") != FORMAT:
            raise IndexMismatchError(
                f"{where} has format {stored.get('format')!r}, and this version reads format {FORMAT}: make the "
                "index anew, or use the version that made it"
            )
        try:
            projection = stored["projection"]
            return cls(
                fingerprint=dict(stored["fingerprint"]),
                model=str(stored["model"]),
                channels=tuple(
                    Channel(**{**one, "kind": ChannelKind(one["kind"])}) for one in stored["channels"]
                ),
                settings=_settings(stored["settings"]),
                projection=Projection.from_dict(projection) if projection else None,
                windowed=bool(stored["windowed"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise BrokenIndexError(f"the manifest of {where} cannot be read: {error}") from error


def _settings(stored: Mapping[str, Any]) -> IndexSettings:
    channels = stored["channels"]
    return IndexSettings(
        **{
            **stored,
            "channels": None if channels is None else tuple(channels),
            "dense": DenseSettings(**stored["dense"]),
            "multi": TokenSettings(**stored["multi"]),
            "bm25": Bm25Settings(**stored["bm25"]),
        }
    )
