"""From documents to what is stored of them: one passage each, or the windows of a long one."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import uuid4

from ..contracts import CallOptions
from ..encoders import Encoder
from ..pool import Steps
from .contracts import Passage, Window
from .documents import CheckedDocument
from .settings import IndexSettings

Spans = list[list[tuple[int, int]]]
"""For each document, the (start, stop) characters of its windows."""
_CHUNK_TOKENS = 256
_OVERLAP_TOKENS = 64


def spans_steps(
    encoder: Encoder, settings: IndexSettings, documents: Sequence[CheckedDocument], options: CallOptions
) -> Steps[Spans]:
    """Find where each document is to be cut; a single span over everything where it is not."""
    texts = [document.text for document in documents]
    if settings.long_documents == "cut":
        return [[(0, len(text))] for text in texts]
    late = settings.long_documents == "late-chunking"
    window = settings.window_tokens or (_CHUNK_TOKENS if late else None)
    overlap = 0 if late else settings.overlap_tokens
    if overlap is None:
        overlap = _OVERLAP_TOKENS if window is None else min(_OVERLAP_TOKENS, window // 4)
    spans: Spans = yield from encoder.windows_steps(
        texts, max_tokens=window, overlap_tokens=overlap, options=options
    )
    return spans


def passages_of(document: CheckedDocument, spans: Sequence[tuple[int, int]]) -> list[Passage]:
    """Give the passages of a document, in reading order; every call gives those of a new version."""
    if len(spans) == 1:
        return [_passage(document, document.text)]
    version = uuid4().hex
    return [
        _passage(
            document,
            document.text[start:stop],
            version,
            window=Window(number=number, count=len(spans), start=start, stop=stop),
            whole=document.text if number == 0 else None,
        )
        for number, (start, stop) in enumerate(spans)
    ]


def _passage(
    document: CheckedDocument,
    text: str,
    version: str = "",
    window: Window | None = None,
    whole: str | None = None,
) -> Passage:
    return Passage(
        document=document.id,
        text=text,
        metadata=document.metadata,
        digest=document.digest,
        version=version,
        window=window,
        whole=whole,
    )
