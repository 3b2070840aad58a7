"""What an index holds: as JSON values, and as a table for people."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.table import Table

from ..retrieval import Channel, Engine, IsHead
from ..retrieval.manifest import Manifest


def inventory(path: Path, engine: Engine) -> dict[str, Any]:
    """Give facts and numbers of an index as JSON values; opens the engine, and needs no checkpoint.

    Raises:
        IndexHeldError: If another process holds the index.
    """
    manifest = Manifest.from_dict(engine.manifest() or {}, repr(engine))
    engine.open(manifest.channels)
    settings = manifest.settings
    return {
        "path": str(path),
        "documents": engine.count(IsHead()),
        "model": manifest.model,
        "fingerprint": manifest.fingerprint,
        "channels": [_channel(channel) for channel in manifest.channels],
        "long_documents": settings.long_documents,
        "window_tokens": settings.window_tokens,
        **engine.stats(),
    }


def inventory_table(held: dict[str, Any]) -> Table:
    """Lay out what `inventory` gave."""
    table = Table(show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    table.add_row("index", held["path"])
    table.add_row("documents", f"{held['documents']:,}")
    if held["points"] != held["documents"]:
        table.add_row("passages", f"{held['points']:,} (long documents in {held['long_documents']})")
    table.add_row("model", f"{held['model']}  (revision {held['fingerprint']['revision']})")
    table.add_row("channels", "\n".join(map(_told, held["channels"])))
    table.add_row("on disk", _size(held["disk_bytes"]))
    return table


def _channel(channel: Channel) -> dict[str, Any]:
    facts = {"name": channel.name, "kind": str(channel.kind), "dim": channel.dim, "storage": channel.storage}
    return {**facts, "quantization": channel.quantization}


def _told(channel: dict[str, Any]) -> str:
    if channel["dim"] is None:
        return f"{channel['name']:7} {'words' if channel['name'] == 'bm25' else 'weighted tokens'}"
    per = " per token" if channel["kind"] == "multi" else ""
    return f"{channel['name']:7} {channel['dim']} dimensions{per}, {channel['storage']}"


def _size(count: int) -> str:
    return f"{count / 2**20:,.1f} MiB"
