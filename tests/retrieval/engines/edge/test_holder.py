import errno
import json
import os
import signal
import socket
import subprocess
import sys

import pytest

pytest.importorskip("filelock")

from bge_components.errors import IndexHeldError, IndexStoreError
from bge_components.retrieval.engines.edge.holder import FolderHolder

HOLD = """
import sys
from pathlib import Path
from bge_components.retrieval.engines.edge.holder import FolderHolder
holder = FolderHolder(Path(sys.argv[1]))
holder.acquire()
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def holding(tmp_path):
    script = tmp_path / "holding.py"
    script.write_text(HOLD)
    folder = tmp_path / "folder"
    folder.mkdir()
    process = subprocess.Popen(
        [sys.executable, str(script), str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdout.readline() == "held\n"
        yield folder, process
        process.kill()


def test_another_process_is_told_which_one_holds_the_folder(holding):
    folder, process = holding
    with pytest.raises(IndexHeldError) as refused:
        FolderHolder(folder).acquire()
    message = str(refused.value)
    for fact in (
        f"process {process.pid}",
        "(holding.py)",
        repr(socket.gethostname()),
        "since 20",
        str(folder),
    ):
        assert fact in message


def test_a_folder_is_free_again_after_its_holder_was_killed(holding):
    folder, process = holding
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert (folder / "holder.json").exists()
    holder = FolderHolder(folder)
    holder.acquire()
    assert json.loads((folder / "holder.json").read_text())["pid"] == os.getpid()
    holder.release()


@pytest.mark.parametrize("torn", [b"", b'{"pid": 1', b"\xff\xfe", b"[1, 2]", None], ids=repr)
def test_torn_facts_about_the_holder_hinder_nobody(tmp_path, torn):
    first, second = FolderHolder(tmp_path), FolderHolder(tmp_path)
    first.acquire()
    facts = tmp_path / "holder.json"
    facts.unlink() if torn is None else facts.write_bytes(torn)
    with pytest.raises(IndexHeldError, match="another process, which has not yet said who it is"):
        second.acquire()
    first.release()
    if torn is not None:
        facts.write_bytes(torn)
    second.acquire()
    second.release()


def test_a_second_holder_in_this_process_is_told_so(tmp_path):
    first, second = FolderHolder(tmp_path), FolderHolder(tmp_path)
    first.acquire()
    with pytest.raises(IndexHeldError, match=r"held by this process itself \("):
        second.acquire()
    second.release()
    with pytest.raises(IndexHeldError):
        second.acquire()
    first.release()
    first.release()
    second.acquire()
    second.release()
    assert not (tmp_path / "holder.json").exists()


def test_a_full_disk_hinders_nobody_from_holding(tmp_path, monkeypatch):
    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    first = FolderHolder(tmp_path)
    first.acquire()
    with pytest.raises(IndexHeldError, match="not yet said who it is"):
        FolderHolder(tmp_path).acquire()
    first.release()
    assert [path.name for path in tmp_path.iterdir() if path.suffix != ".lock"] == []


def test_a_folder_that_cannot_be_held_is_named(tmp_path):
    (tmp_path / "holder.lock").mkdir()
    with pytest.raises(IndexStoreError, match=f"the folder {tmp_path} cannot be held"):
        FolderHolder(tmp_path).acquire()
