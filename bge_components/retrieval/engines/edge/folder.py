"""The files of an embedded index: the shard, and ours beside it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any
from uuid import uuid4

from ....errors import BrokenIndexError, IndexFullError, IndexMismatchError, IndexStoreError
from ...contracts import Channel, ChannelKind
from .json_files import read_json, write_json

FORMAT = 1

_FIRST_SHARD = "shard"
_OURS = {
    "channels.json",
    "figures.json",
    "holder.json",
    "holder.lock",
    "manifest.json",
    "shard",
    "shard.json",
}
_SIGNS = ("channels", "manifest")
_NOBODYS = "lost+found"
_SHOWN = 5


class EdgeFolder:
    """Knows what lies where.

    channels.json   what the shard keeps, written before it
    shard/          the first shard; made as shard.new and renamed, so that it is whole if it is there
    shard-*/        an optimised copy of it, or of such a one
    shard.json      which of them is in service; without it the first. Others are leftovers
    manifest.json   what `keep_manifest` was given
    figures.json    what the last optimisation measured

    Args:
        path: The folder; it need not exist.
        shard: Name of the shard's folder in it.
    """

    def __init__(self, path: str | os.PathLike[str], shard: str = _FIRST_SHARD) -> None:
        self.path = Path(path).absolute()
        self.shard = self.path / shard
        self.new_shard = self.path / "shard.new"

    def make(self) -> None:
        """Make the folder where it is missing.

        Raises:
            IndexStoreError: If that cannot be done, or the folder is used for something else.
        """
        self.check_ours()
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise IndexStoreError(f"the folder {self.path} for the index cannot be made: {error}") from error

    def check_ours(self) -> None:
        """See that this is an index, or may become one: missing, or empty but for hidden files.

        Raises:
            IndexStoreError: If it is a file, or a folder of other files; the message names some.
        """
        if self.path.is_file():
            raise IndexStoreError(f"{self.path} is a file, and an index is a folder: name a new one")
        if any((self.path / f"{name}.json").exists() for name in _SIGNS):
            return
        others = self._other_names()
        if others:
            more = f" and {len(others) - _SHOWN} more" if len(others) > _SHOWN else ""
            raise IndexStoreError(
                f"the folder {self.path} is no index, and holds other files: {', '.join(others[:_SHOWN])}{more}. An "
                "index wants a folder of its own: name one that is new or empty"
            )

    def _other_names(self) -> list[str]:
        try:
            names = os.listdir(self.path)
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:
            raise IndexStoreError(f"the folder {self.path} cannot be read: {error}") from error
        return sorted(name for name in names if not _may_lie_here(name))

    def find_shard(self) -> None:
        """Find out which shard is in service: `shard` is its folder then, which is missing in a new index.

        Raises:
            BrokenIndexError: If it is missing though there was one.
        """
        self.shard = self._shard_in_service()
        if not self.shard.exists() and (self.shard.name != _FIRST_SHARD or self._copies()):
            raise BrokenIndexError(f"the index in {self.path} has lost its shard, the folder {self.shard}")

    def _shard_in_service(self) -> Path:
        named = self.read("shard")
        try:
            return self.path / (_FIRST_SHARD if named is None else Path(named["shard"]).name)
        except (KeyError, TypeError) as error:
            raise BrokenIndexError(
                f"shard.json of the index in {self.path} cannot be read: {error}"
            ) from error

    def copy(self) -> EdgeFolder:
        """Give this folder with a shard of a new name, which is to be made; names are never used again."""
        return self.with_shard(f"{_FIRST_SHARD}-{uuid4().hex[:12]}")

    def with_shard(self, name: str) -> EdgeFolder:
        """Give this folder with another shard."""
        return EdgeFolder(self.path, name)

    def put_in_service(self, shard: Path) -> None:
        """Write down that this shard is the one, from now on and after whatever happens.

        Raises:
            IndexFullError: If there is no room.
        """
        self.write("shard", {"shard": shard.name})

    def remove_leftovers(self) -> None:
        """Remove every shard that is not in service, as far as that can be done now."""
        kept = {self.shard, self._shard_in_service()}
        for path in {self.path / _FIRST_SHARD, self.new_shard, *self._copies()} - kept:
            shutil.rmtree(path, ignore_errors=True)

    def _copies(self) -> list[Path]:
        return list(self.path.glob(f"{_FIRST_SHARD}-*"))

    def check_channels(self, asked: Mapping[str, Channel]) -> None:
        """Hold the channels that are kept here against those that are asked for.

        Raises:
            IndexMismatchError: If they differ.
        """
        check_channels(asked, self.channels(), self.path)

    def channels(self) -> dict[str, Channel]:
        """Give the channels that are kept here.

        Raises:
            IndexMismatchError: If another version wrote them down.
            BrokenIndexError: If they cannot be read.
        """
        stored = self.read("channels")
        if stored is None:
            raise BrokenIndexError(
                f"the index in {self.path} has a shard, but its file channels.json is missing"
            )
        if stored.get("format") != FORMAT:
            raise IndexMismatchError(
                f"the index in {self.path} has format {stored.get('format')!r}, and this version reads format "
                f"{FORMAT}: make it anew, or use the version that made it"
            )
        try:
            channels = [Channel(**{**one, "kind": ChannelKind(one["kind"])}) for one in stored["channels"]]
        except (KeyError, TypeError, ValueError) as error:
            raise BrokenIndexError(
                f"channels.json of the index in {self.path} cannot be read: {error}"
            ) from error
        return {channel.name: channel for channel in channels}

    def write_channels(self, channels: Mapping[str, Channel]) -> None:
        """Write down what the shard is about to keep."""
        listed = [{**asdict(channel), "kind": str(channel.kind)} for channel in channels.values()]
        self.write("channels", {"format": FORMAT, "channels": listed})

    def read(self, name: str) -> Any:
        """Give the JSON object of a file of ours; None where there is none.

        Raises:
            BrokenIndexError: If it cannot be read.
        """
        path = self.path / f"{name}.json"
        try:
            data = read_json(path)
        except (OSError, ValueError) as error:
            raise BrokenIndexError(f"the file {path} of the index cannot be read: {error}") from error
        if data is not None and not isinstance(data, dict):
            raise BrokenIndexError(
                f"the file {path} of the index holds a {type(data).__name__}, not an object"
            )
        return data

    def write(self, name: str, data: Mapping[str, Any]) -> None:
        """Put a JSON object in place of what a file of ours holds.

        Raises:
            IndexFullError: If there is no room; the file is as it was.
        """
        try:
            write_json(self.path / f"{name}.json", data)
        except OSError as error:
            raise IndexFullError(
                f"{name}.json of the index in {self.path} cannot be written: {error}"
            ) from error

    def check_room(self, wanted_bytes: int, what: str) -> None:
        """See that the disk has room, before the shard crashes for want of it.

        Raises:
            IndexFullError: If it has not; the message says how much there is.
        """
        free_bytes = shutil.disk_usage(self.path).free
        if free_bytes < wanted_bytes:
            raise IndexFullError(
                f"no room for {what}: the disk of {self.path} has {_megabytes(free_bytes)} free, and "
                f"{_megabytes(wanted_bytes)} are needed, reserve included. Everything stored before is intact: "
                "free some room, or move the index to a larger disk"
            )

    def shard_bytes(self) -> int:
        """Give what the shard takes on the disk; the holes in its files take nothing."""
        return sum(
            _bytes_on_disk(Path(folder) / name) for folder, _, names in os.walk(self.shard) for name in names
        )

    def graph_bytes(self, channel: str) -> int:
        """Give the size of a channel's graphs."""
        return sum(
            path.stat().st_size for path in self.shard.glob(f"segments/*/vector_index-{channel}/links*")
        )


def check_channels(asked: Mapping[str, Channel], kept: Mapping[str, Channel], path: Path) -> None:
    """Refuse channels that differ from those kept.

    Raises:
        IndexMismatchError: The message shows every channel that differs, both ways.
    """
    if asked == kept:
        return
    names = sorted(name for name in {*asked, *kept} if asked.get(name) != kept.get(name))
    told = "; ".join(
        f"{name!r}: kept {_told(kept.get(name))}, asked {_told(asked.get(name))}" for name in names
    )
    raise IndexMismatchError(
        f"the index in {path} keeps other channels than asked for: {told}. Open it with the channels that it has, or "
        "make another one"
    )


def _told(channel: Channel | None) -> str:
    if channel is None:
        return "not at all"
    facts = {
        name: value
        for name, value in asdict(channel).items()
        if name != "name" and value not in (None, False)
    }
    return ", ".join(f"{name}={value}" for name, value in facts.items())


def _may_lie_here(name: str) -> bool:
    ours = name.removesuffix(".new") in _OURS or name.startswith(f"{_FIRST_SHARD}-")
    return ours or name == _NOBODYS or name.startswith(".")


def _bytes_on_disk(path: Path) -> int:
    try:
        found = path.stat()
    except FileNotFoundError:
        return 0
    return getattr(found, "st_blocks", 0) * 512 or found.st_size


def _megabytes(count: int) -> str:
    return f"{count / 2**20:,.0f} MiB"
