"""The real huggingface_hub against a small server that speaks as the hub does, in a fresh interpreter."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from catalogue.folders import BERT

COMMIT = "c" * 40
SMALL = {
    "config.json": json.dumps(BERT).encode(),
    "tokenizer.json": b"{}",
    "modules.json": b"[]",
    "1_Pooling/config.json": b'{"pooling_mode": "cls"}',
}
NEVER = {
    "modeling.py": b"raise SystemExit('code of the repository was run')",
    "README.md": b"# readme",
    "onnx/model.onnx": b"onnx",
    "onnx/config.json": b"{}",
    "openvino/openvino_model.bin": b"openvino",
    "training_args.bin": b"pickle",
    "optimizer.pt": b"pickle",
    "tf_model.h5": b"tf",
}
REPOSITORIES = {
    "org/new": {**SMALL, **NEVER, "model.safetensors": b"safe", "pytorch_model.bin": b"old"},
    "org/old": {
        **SMALL,
        **NEVER,
        "pytorch_model.bin": b"old",
        "sparse_linear.pt": b"s",
        "colbert_linear.pt": b"c",
    },
    "org/onnx-only": {**SMALL, **NEVER},
}
CLIENT = """
import json, sys
from bge_components.catalogue import locate
from bge_components.errors import BGEError
from bge_components.settings import HubSettings
for name, revision, local in json.loads(sys.argv[1]):
    try:
        folder = locate(name, revision=revision, hub=HubSettings(local_files_only=local))
        found = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
        print(json.dumps([str(folder), found]))
    except BGEError as error:
        print(json.dumps([type(error).__name__, str(error)]))
"""


class Hub(BaseHTTPRequestHandler):
    asked: list[str]

    def do_HEAD(self) -> None:
        self.answer()

    def do_GET(self) -> None:
        self.answer()

    def answer(self) -> None:
        path = self.path.partition("?")[0]
        self.asked.append(path)
        for name, files in REPOSITORIES.items():
            if path in (f"/api/models/{name}", f"/api/models/{name}/revision/main"):
                return self.send_json(
                    {"id": name, "sha": COMMIT, "siblings": [{"rfilename": f} for f in files]}
                )
            if path.startswith(f"/api/models/{name}/tree/{COMMIT}"):
                return self.send_json([self.entry(file, content) for file, content in files.items()])
            if path.startswith(f"/{name}/resolve/{COMMIT}/"):
                file = path.removeprefix(f"/{name}/resolve/{COMMIT}/")
                return self.send(
                    200, files[file], {"X-Repo-Commit": COMMIT, "ETag": f'"{blob_id(files[file])}"'}
                )
            if path.startswith(f"/api/models/{name}/"):
                return self.send(404, b"{}", {"X-Error-Code": "RevisionNotFound"})
        return self.send(404, b"{}", {"X-Error-Code": "RepoNotFound"})

    def entry(self, file: str, content: bytes) -> dict[str, Any]:
        return {"type": "file", "path": file, "size": len(content), "oid": blob_id(content)}

    def send_json(self, content: Any) -> None:
        self.send(200, json.dumps(content).encode(), {"Content-Type": "application/json"})

    def send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for key, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, *arguments: Any) -> None:
        pass


def blob_id(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


@pytest.fixture
def hub() -> Iterator[tuple[str, list[str]]]:
    asked: list[str] = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("OneHub", (Hub,), {"asked": asked}))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", asked
    server.shutdown()
    thread.join()
    server.server_close()


def ask(
    home: Path, endpoint: str, *wanted: tuple[str, str | None, bool], **environment: str
) -> list[list[Any]]:
    """Locate checkpoints in a fresh interpreter; give [folder, files] or [error, message] of each."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("HF_", "TRANSFORMERS_"))}
    kept |= {"HF_HOME": str(home), "HF_ENDPOINT": endpoint, "NO_PROXY": "*", "HF_HUB_DISABLE_TELEMETRY": "1"}
    result = subprocess.run(
        [sys.executable, "-c", CLIENT, json.dumps(wanted)],
        env=kept | environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_only_what_is_needed_is_downloaded_and_then_served_offline(hub, tmp_path):
    endpoint, asked = hub
    wanted = [("org/new", None, False), ("org/old", None, False), ("org/onnx-only", None, False)]
    failing = [("org/none", None, False), ("org/new", "v7", False)]
    new, old, onnx, none, revision = ask(tmp_path, endpoint, *wanted, *failing)

    assert new[1] == sorted([*SMALL, "model.safetensors"])
    assert old[1] == sorted([*SMALL, "pytorch_model.bin", "sparse_linear.pt", "colbert_linear.pt"])
    assert new[0] == str(tmp_path / "hub" / "models--org--new" / "snapshots" / COMMIT)
    assert onnx[0] == none[0] == revision[0] == "CheckpointNotFoundError"
    assert "neither model.safetensors nor pytorch_model.bin" in onnx[1]
    assert "no checkpoint named 'org/none'" in none[1]
    assert "no revision 'v7'" in revision[1]
    resolved = {path.partition(f"/resolve/{COMMIT}/")[2] for path in asked if "/resolve/" in path}
    assert not resolved & NEVER.keys()

    asked.clear()
    local = [("org/new", None, True), ("org/old", "main", True), ("org/old", COMMIT, True)]
    assert ask(tmp_path, endpoint, *local) == [new, old, old]
    again = ask(tmp_path, endpoint, *wanted[:2], HF_HUB_OFFLINE="1")
    assert again == [new, old]
    assert asked == []


def test_without_a_connection_the_cache_serves_and_what_it_lacks_is_explained(hub, tmp_path):
    endpoint, _ = hub
    [new] = ask(tmp_path, endpoint, ("org/new", None, False))
    nobody = "http://127.0.0.1:9"
    served, missing = ask(tmp_path, nobody, ("org/new", None, False), ("BAAI/bge-m4", None, False))
    assert served == new
    assert missing[0] == "CheckpointNotFoundError"
    assert "cannot be reached" in missing[1]
    assert "did you mean 'BAAI/bge-m3'" in missing[1]
