from __future__ import annotations

import re
import subprocess

import pytest

from house.sealed import ROOT, run_sealed

CANARY = "quokka-7731-zebra"
USE_EVERYTHING = """
import asyncio, logging, sys
logging.basicConfig(level=logging.DEBUG, stream=sys.stderr)
from langchain_core.documents import Document
from bge_components.langchain import BGEEmbeddings, BGEReranker

canary = sys.argv[1]
logging.getLogger("bge_components").debug("logs are read")
embeddings = BGEEmbeddings(model="mini")
reranker = BGEReranker(model="mini", top_n=1)
documents = [Document(page_content=canary), Document(page_content="something else")]
assert len(embeddings.embed_documents([canary, canary + " word" * 5000, ""])) == 3
assert embeddings.embed_query(canary) == asyncio.run(embeddings.aembed_query(canary))
assert reranker.compress_documents(documents, canary)[0].page_content == canary
for wrong in ([canary, None], [canary, canary.encode()], canary):
    try:
        embeddings.embed_documents(wrong)
    except Exception as error:
        print("refused:", error)
    else:
        raise SystemExit(f"accepted a {type(wrong).__name__}")
"""

LOCAL_PATH = re.compile(r"(?<![\w.$~/})-])/(?:work|root|home/\w+|Users/\w+|opt/wheels|opt/pypi)/")
PRIVATE_HOST = re.compile(
    r"https?://(?:[^\s/\"'<>]*\.(?:internal|intranet|corp|lan|local)\b|10\.|192\.168\.|172\.(?:1[6-9]|2\d|3[01])\.)"
)


def test_no_text_of_a_request_reaches_a_log_and_nothing_asks_for_the_network() -> None:
    done = run_sealed(USE_EVERYTHING, CANARY)

    assert done.returncode == 0, done.stderr
    assert "logs are read" in done.stderr
    assert done.stdout.count("refused:") == 3
    assert CANARY not in done.stderr + done.stdout


@pytest.mark.parametrize(
    "text", ["see /" + "work/main", "'/" + "root/.cache'", "(/" + "home/ann/x)", "=/" + "opt/wheels/a.whl"]
)
def test_a_path_of_one_machine_is_recognised(text: str) -> None:
    assert LOCAL_PATH.search(text)


@pytest.mark.parametrize(
    "text", ["tests/work/x", "https://example.org/work/", "../root/x", "$HOME/work/x", "/tmp/x"]
)
def test_other_paths_are_not_taken_for_one_of_a_machine(text: str) -> None:
    assert not LOCAL_PATH.search(text)


def test_no_file_of_the_project_names_a_machine() -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip

    named = [
        f"{name}:{number}"
        for name in filter(None, listed.stdout.split("\0"))
        for number, line in enumerate(lines_of(name), start=1)
        if LOCAL_PATH.search(line) or PRIVATE_HOST.search(line)
    ]

    assert named == []


def lines_of(name: str) -> list[str]:
    try:
        return (ROOT / name).read_text(encoding="utf-8").splitlines()
    except (UnicodeDecodeError, FileNotFoundError):  # a binary file, or one deleted but not yet committed
        return []
