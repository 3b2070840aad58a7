"""`bge embed`: texts in, vectors out, as a stream."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer

from ..vectors import Encoding
from .arguments import model_arguments
from .console import complain, counter, is_interactive, say, short_floats, write_json_line
from .options import (
    AsJsonLines,
    Backend,
    BackendOption,
    CacheFolder,
    Device,
    DType,
    DTypeOption,
    Files,
    FormatOption,
    InputFormat,
    MaxTokens,
    Offline,
    Revision,
    TrustRemoteCode,
)
from .records import Record, batches_of, records_from

if TYPE_CHECKING:
    from ..encoders import Encoder

_OUTPUTS = ("dense", "sparse", "multi")
_BATCH = 512
_BATCH_OF_TOKEN_VECTORS = 32


class RoleName(str, Enum):
    """What the texts are: it chooses the instruction that goes before them."""

    QUERY = "query"
    DOCUMENT = "document"


class Quantization(str, Enum):
    """Smaller forms of dense vectors."""

    INT8 = "int8"
    BINARY = "binary"


class OnLongText(str, Enum):
    """What happens to a text that is longer than the checkpoint takes."""

    WARN = "warn"
    ERROR = "error"
    IGNORE = "ignore"


def embed(
    files: Files = None,
    model: Annotated[str, typer.Option("--model", "-m", help="Checkpoint.")] = "BAAI/bge-m3",
    role: Annotated[RoleName, typer.Option(help="What the texts are.")] = RoleName.DOCUMENT,
    outputs: Annotated[str, typer.Option(help="Some of dense,sparse,multi.")] = "dense",
    dimensions: Annotated[int | None, typer.Option(min=1, help="Keep so many leading dimensions.")] = None,
    quantize: Annotated[
        Quantization | None, typer.Option(help="Dense vectors in one byte or one bit per dimension.")
    ] = None,
    instruction: Annotated[
        str | None, typer.Option(help="Put before every text instead of the model's own.")
    ] = None,
    on_truncation: Annotated[OnLongText, typer.Option(help="When texts are cut.")] = OnLongText.WARN,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", dir_okay=False, writable=True, help="File instead of stdout."),
    ] = None,
    format_: FormatOption = InputFormat.AUTO,
    max_tokens: MaxTokens = None,
    revision: Revision = None,
    device: Device = None,
    dtype: DTypeOption = DType.AUTO,
    backend: BackendOption = Backend.TORCH,
    cache_folder: CacheFolder = None,
    offline: Offline = False,
    trust_remote_code: TrustRemoteCode = False,
    as_json: AsJsonLines = False,
) -> None:
    """Turn texts into vectors: JSON lines {"id", "tokens", "dense", "sparse", "multi"} in the order of the texts.

    Texts are read as they come and memory stays bounded, so a pipe of any length works. "sparse" maps token ids
    to weights; --quantize int8 gives "int8" with "scale" instead of "dense", --quantize binary gives "binary",
    eight dimensions per number.
    """
    wanted = _checked_outputs(outputs, quantize)
    from ..assembly import make_encoder
    from ..encoders import EncoderSettings

    encoder = make_encoder(
        model_arguments(
            model,
            revision=revision,
            device=device,
            dtype=dtype,
            backend=backend,
            cache_folder=cache_folder,
            offline=offline,
            trust_remote_code=trust_remote_code,
        ),
        EncoderSettings(
            query_instruction=instruction if role is RoleName.QUERY else None,
            document_instruction=instruction if role is RoleName.DOCUMENT else None,
            max_tokens=max_tokens,
            dimensions=dimensions,
            on_truncation="error" if on_truncation is OnLongText.ERROR else "ignore",
        ),
    )
    batches = batches_of(
        records_from(files, format_), _BATCH_OF_TOKEN_VECTORS if "multi" in wanted else _BATCH
    )
    with _opened(out) as stream:
        done, cut = _stream(encoder, batches, role, wanted, quantize, stream)
    if cut and on_truncation is OnLongText.WARN:
        complain(
            f"warning: {cut} of {done} texts were too long and were cut: split them, or raise --max-tokens"
        )
    if not done:
        say("no texts came in, so nothing went out")


def _stream(
    encoder: Encoder,
    batches: Iterable[list[Record]],
    role: RoleName,
    wanted: list[str],
    quantize: Quantization | None,
    stream: TextIO,
) -> tuple[int, int]:
    """Encode batch after batch; give how many texts there were and how many were cut."""
    done = cut = 0
    with counter("texts embedded", show=is_interactive() and not stream.isatty()) as tell:
        for batch in batches:
            encoding = encoder.encode([record.text for record in batch], role.value, wanted)
            for record, row in zip(batch, _rows(encoding, quantize)):
                write_json_line({"id": record.id, **row}, stream)
            stream.flush()
            done += len(batch)
            cut += len(encoding.cut)
            tell(done)
    return done, cut


def _rows(encoding: Encoding, quantize: Quantization | None) -> Iterator[dict[str, Any]]:
    dense = encoding.dense
    small = None if dense is None or quantize is None else dense.quantized(quantize.value)
    for index, tokens in enumerate(encoding.tokens.tolist()):
        row: dict[str, Any] = {"tokens": tokens}
        if small is not None:
            row[small.kind] = small.values[index].tolist()
            if small.scales is not None:
                row["scale"] = short_floats(small.scales[index : index + 1])[0]
        elif dense is not None:
            row["dense"] = short_floats(dense[index])
        if encoding.sparse is not None:
            ids, weights = encoding.sparse.row(index)
            row["sparse"] = dict(zip(map(str, ids.tolist()), short_floats(weights)))
        if encoding.multi is not None:
            row["multi"] = [short_floats(vector) for vector in encoding.multi[index]]
        yield row


def _checked_outputs(outputs: str, quantize: Quantization | None) -> list[str]:
    names = [name.strip() for name in outputs.split(",") if name.strip()]
    if not names or not set(names) <= set(_OUTPUTS):
        raise typer.BadParameter(
            f"must be some of {','.join(_OUTPUTS)}, got {outputs!r}", param_hint="--outputs"
        )
    if quantize and "dense" not in names:
        raise typer.BadParameter("needs dense among --outputs", param_hint="--quantize")
    return names


@contextmanager
def _opened(out: Path | None) -> Iterator[TextIO]:
    if out is None or str(out) == "-":
        yield sys.stdout
        return
    with out.open("w", encoding="utf-8") as stream:
        yield stream
