"""Options that several commands share, each written once."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer


class DType(str, Enum):
    """Number formats of the matrix products."""

    AUTO = "auto"
    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"
    FLOAT16 = "float16"
    INT8 = "int8"


class Backend(str, Enum):
    """What runs a checkpoint."""

    TORCH = "torch"
    FAKE = "fake"


class Scale(str, Enum):
    """Scales of a reranker's scores."""

    SIGMOID = "sigmoid"
    RAW = "raw"


class InputFormat(str, Enum):
    """How texts come in."""

    AUTO = "auto"
    LINES = "lines"
    JSONL = "jsonl"


class Storage(str, Enum):
    """Number formats in which an index keeps vectors."""

    FLOAT32 = "float32"
    FLOAT16 = "float16"
    INT8 = "int8"


class LongDocuments(str, Enum):
    """What an index does with a document that is longer than the checkpoint reads."""

    WINDOWS = "windows"
    LATE_CHUNKING = "late-chunking"
    CUT = "cut"


class FusionName(str, Enum):
    """How the scores of several channels become one."""

    DISTRIBUTION = "distribution"
    MIN_MAX = "min-max"
    Z_SCORE = "z-score"
    NONE = "none"
    RRF = "rrf"
    M3 = "m3"


_MODEL_PANEL = "The checkpoint and how to run it"

Revision = Annotated[
    str | None, typer.Option(help="Commit, tag or branch on the hub.", rich_help_panel=_MODEL_PANEL)
]
Device = Annotated[
    str | None,
    typer.Option(
        help='As torch spells it ("cpu", "cuda:1"); chosen if not given.', rich_help_panel=_MODEL_PANEL
    ),
]
DTypeOption = Annotated[
    DType, typer.Option("--dtype", help="Number format of the matrix products.", rich_help_panel=_MODEL_PANEL)
]
BackendOption = Annotated[
    Backend,
    typer.Option(
        "--backend", help='"fake" computes nothing sensible: for tests.', rich_help_panel=_MODEL_PANEL
    ),
]
CacheFolder = Annotated[Path | None, typer.Option(help="Folder for downloads.", rich_help_panel=_MODEL_PANEL)]
Offline = Annotated[
    bool, typer.Option("--offline", help="Never ask the network.", rich_help_panel=_MODEL_PANEL)
]
TrustRemoteCode = Annotated[
    bool,
    typer.Option(
        "--trust-remote-code",
        help="Run code that comes with this checkpoint, which you have read.",
        rich_help_panel=_MODEL_PANEL,
    ),
]
MaxTokens = Annotated[
    int | None, typer.Option(min=1, help="Longest text in tokens.", rich_help_panel=_MODEL_PANEL)
]
Files = Annotated[
    list[Path] | None,
    typer.Argument(
        help='One text per line, or JSON lines {"id": ..., "text": ...}; "-" or nothing reads stdin.',
        show_default=False,
    ),
]
FormatOption = Annotated[
    InputFormat, typer.Option("--format", help='How the texts come; "auto" looks at the first line.')
]
AsJson = Annotated[bool, typer.Option("--json", help="Write one JSON document to stdout.")]
IndexFolder = Annotated[
    Path,
    typer.Argument(help="Folder of the index, and of nothing else.", file_okay=False, show_default=False),
]
AsJsonLines = Annotated[bool, typer.Option("--json", help="JSON lines, which this command always writes.")]


def listed(names: str | None, option: str) -> tuple[str, ...] | None:
    """Give the names in a list with commas; None where nothing was given.

    Raises:
        typer.BadParameter: If it names nothing.
    """
    if names is None:
        return None
    found = tuple(name.strip() for name in names.split(",") if name.strip())
    if not found:
        raise typer.BadParameter("names nothing", param_hint=option)
    return found
