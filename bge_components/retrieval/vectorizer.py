"""From texts to the vectors of an index's channels: one forward pass for all that the encoder gives."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from ..contracts import CallOptions, Float32, Output, Role
from ..encoders import Encoder
from ..pool import Steps
from ..vectors import Encoding, SparseVectors
from .bm25 import Bm25
from .contracts import ChannelVector
from .manifest import Manifest
from .projection import Projection

ENCODED = {"dense": Output.DENSE, "sparse": Output.SPARSE, "multi": Output.MULTI}
"""Channels that the encoder gives, and what it is asked for."""

Row = dict[str, ChannelVector]
"""The vectors of one text by channel; a sparse channel without any id is left out."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Vectorizer:
    """Gives the vectors of texts by channel.

    Attributes:
        encoder: For dense, sparse and token vectors.
        bm25: For the bag of words.
        projection: Of token vectors, if any.
    """

    encoder: Encoder
    bm25: Bm25
    projection: Projection | None

    @classmethod
    def of(cls, encoder: Encoder, manifest: Manifest) -> Vectorizer:
        """Give the vectorizer of an index."""
        return cls(encoder=encoder, bm25=Bm25(manifest.settings.bm25), projection=manifest.projection)

    def steps(
        self, texts: Sequence[str], role: Role, channels: Collection[str], options: CallOptions
    ) -> Steps[tuple[list[Row], int]]:
        """Compute the vectors of texts.

        Returns:
            One row per text, in their order, and how many texts were cut.
        """
        outputs = outputs_of(channels)
        cut = 0
        rows: list[Row] = [{} for _ in texts]
        if outputs:
            encoding: Encoding = yield from self.encoder.encode_steps(texts, role, outputs, options)
            self.add_encoded(rows, encoding)
            cut = len(encoding.cut)
        if "bm25" in channels:
            self.add_words(rows, texts, role)
        return rows, cut

    def add_encoded(self, rows: Sequence[Row], encoding: Encoding) -> None:
        """Write what the encoder gave into the rows."""
        for place, row in enumerate(rows):
            if encoding.dense is not None:
                row["dense"] = encoding.dense[place]
            if encoding.multi is not None:
                row["multi"] = self.shortened(encoding.multi[place])
        if encoding.sparse is not None:
            _add_sparse(rows, "sparse", encoding.sparse)

    def add_words(self, rows: Sequence[Row], texts: Sequence[str], role: Role) -> None:
        """Count words and write them into the rows."""
        count = self.bm25.queries if role == "query" else self.bm25.documents
        _add_sparse(rows, "bm25", count(texts))

    def shortened(self, tokens: Float32) -> Float32:
        """Project token vectors, if the index does."""
        return tokens if self.projection is None else self.projection.apply(tokens)


def outputs_of(channels: Collection[str]) -> frozenset[Output]:
    """Give what the encoder has to be asked for."""
    return frozenset(output for name, output in ENCODED.items() if name in channels)


def _add_sparse(rows: Sequence[Row], channel: str, vectors: SparseVectors) -> None:
    for place, row in enumerate(rows):
        ids, weights = vectors.row(place)
        if len(ids):
            row[channel] = (ids, weights)
