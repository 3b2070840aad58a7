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
AsJsonLines = Annotated[bool, typer.Option("--json", help="JSON lines, which this command always writes.")]
