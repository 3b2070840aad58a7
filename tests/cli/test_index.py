from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from bge_components.assembly import make_encoder
from bge_components.cli.documents import documents_from
from bge_components.retrieval import Document, HybridIndex

pytest.importorskip("qdrant_edge")
FAKE = ("--model", "mini", "--backend", "fake")
BREAD = {"id": "bread", "text": "Knead the dough and bake the loaf.", "lang": "en"}
LAW = {"id": "law", "text": "The parliament passed the budget.", "lang": "en"}
CATS = {"id": "cats", "text": "Katzen schlafen sechzehn Stunden.", "lang": "de"}


def lines(*records: dict) -> str:
    return "\n".join(map(json.dumps, records))


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    file = tmp_path / "corpus.jsonl"
    file.write_text(lines(BREAD, LAW))
    return file


def test_documents_are_stored_and_not_encoded_again_when_they_come_again(bge, tmp_path, corpus):
    first = json.loads(bge("index", tmp_path / "idx", corpus, *FAKE, "--json").stdout)
    assert (first["stored"], first["unchanged"], first["index"]["documents"]) == (2, 0, 2)
    again = bge("index", tmp_path / "idx", corpus, "-", *FAKE, "--json", stdin=lines(CATS))
    told = json.loads(again.stdout)
    assert (told["stored"], told["unchanged"], told["index"]["documents"]) == (1, 2, 3)


def test_without_files_the_index_is_described(bge, tmp_path, corpus):
    bge("index", tmp_path / "idx", corpus, *FAKE)
    held = json.loads(bge("index", tmp_path / "idx", "--json").stdout)
    assert held["documents"] == held["points"] == 2
    assert held["model"] == held["fingerprint"]["checkpoint"] == "mini"
    assert [channel["name"] for channel in held["channels"]] == ["dense", "sparse", "multi"]
    assert held["disk_bytes"] > 0
    shown = bge("index", tmp_path / "idx").stdout
    assert "documents" in shown
    assert "float16" in shown
    assert "MiB" in shown


def test_a_description_needs_no_checkpoint(bge, tmp_path, corpus, tiny_bert):
    folder = tmp_path / "model"
    folder.symlink_to(tiny_bert)
    assert bge("index", tmp_path / "idx", corpus, "--model", folder).exit_code == 0
    folder.unlink()
    assert json.loads(bge("index", tmp_path / "idx", "--json").stdout)["documents"] == 2


def test_what_a_new_index_keeps_is_chosen_and_cannot_be_changed_later(bge, tmp_path, corpus):
    corpus.write_text(lines({**BREAD, "text": " ".join(f"word{number}" for number in range(60))}))
    chosen = ("--channels", "dense,multi", "--projection", "4", "--storage", "int8", "--long", "cut")
    told = json.loads(bge("index", tmp_path / "idx", corpus, *FAKE, *chosen, "--json").stdout)
    kept = {channel["name"]: (channel["dim"], channel["storage"]) for channel in told["index"]["channels"]}
    assert kept == {"dense": (32, "int8"), "multi": (4, "int8")}
    assert bge("index", tmp_path / "idx", corpus, *FAKE, *chosen).exit_code == 0
    refused = bge("index", tmp_path / "idx", corpus, *FAKE, "--storage", "float16")
    assert refused.exit_code == 2
    assert "--storage: it has int8, asked float16" in refused.stderr


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--window-tokens", "64"], "--window-tokens: it has none, asked 64"),
        (["--channels", "dense"], "--channels: it has dense,sparse,multi, asked dense"),
        (["--projection", "8"], "--projection: it has none, asked 8"),
        (["--long", "cut"], "--long: it has windows, asked cut"),
        (["--storage", "int8"], "--storage: it has float32 and float16, asked int8"),
    ],
)
def test_only_the_options_that_differ_are_told(bge, tmp_path, corpus, options, told):
    bge("index", tmp_path / "idx", corpus, *FAKE)
    refused = bge("index", tmp_path / "idx", corpus, *FAKE, "--channels", "sparse,multi,dense", *options)
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert f"cannot be changed: {told}. Leave this out" in refused.stderr
    assert "Settings(" not in refused.stderr


def test_another_text_under_a_known_id_is_refused_unless_it_is_to_replace(bge, tmp_path, corpus):
    bge("index", tmp_path / "idx", corpus, *FAKE)
    newer = lines({**BREAD, "text": "Buy a loaf."})
    refused = bge("index", tmp_path / "idx", "-", *FAKE, stdin=newer)
    assert refused.exit_code == 2
    assert "'bread'; use --replace" in refused.stderr
    assert "upsert" not in refused.stderr
    told = json.loads(bge("index", tmp_path / "idx", "-", *FAKE, "--replace", "--json", stdin=newer).stdout)
    assert (told["stored"], told["index"]["documents"]) == (1, 2)


def test_documents_are_deleted_by_id_and_ids_that_were_not_there_are_told(bge, tmp_path, corpus):
    bge("index", tmp_path / "idx", corpus, *FAKE)
    delete = ("index", tmp_path / "idx", *FAKE, "--delete", "law", "--delete", "unknown")
    told = json.loads(bge(*delete, "--json").stdout)
    assert (told["deleted"], told["not_there"], told["index"]["documents"]) == (1, ["unknown"], 1)
    again = bge(*delete)
    assert again.exit_code == 0
    assert "--delete found no document 'law', 'unknown'" in again.stderr


def test_nothing_is_made_to_delete_from(bge, tmp_path):
    result = bge("index", tmp_path / "idx", *FAKE, "--delete", "law")
    assert result.exit_code == 2
    assert "there is no index in" in result.stderr
    assert not (tmp_path / "idx").exists()


@pytest.fixture
def notes(tmp_path) -> Path:
    """Two folders of two text files each, and a record beside those of the first."""
    for name in ("notes/bread.md", "notes/deep/law.md", "others/cats.md", "others/dogs.md"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(f"About {name}.")
    (tmp_path / "notes" / "more.jsonl").write_text(lines(CATS))
    return tmp_path / "notes"


def test_files_that_are_gone_from_the_folders_given_are_pruned_when_asked(bge, tmp_path, notes, monkeypatch):
    others = tmp_path / "others"
    bge("index", tmp_path / "idx", notes, others, *FAKE)
    for gone in (notes / "deep" / "law.md", notes / "more.jsonl", others / "dogs.md"):
        gone.unlink()
    kept = json.loads(bge("index", tmp_path / "idx", notes, *FAKE, "--json").stdout)
    assert (kept["pruned"], kept["index"]["documents"]) == (0, 5)
    monkeypatch.chdir(tmp_path)
    shown = bge("index", "idx", "notes", *FAKE, "--prune")
    assert "1 deleted because their files are gone" in " ".join(shown.stdout.split())
    told = json.loads(bge("index", "idx", "others", *FAKE, "--prune", "--json").stdout)
    assert (told["stored"], told["unchanged"], told["pruned"], told["index"]["documents"]) == (0, 1, 1, 3)


def test_pruning_wants_a_folder(bge, tmp_path, corpus):
    result = bge("index", tmp_path / "idx", corpus, *FAKE, "--prune")
    assert result.exit_code == 2
    assert "folder" in result.stderr
    assert not (tmp_path / "idx").exists()


def test_a_folder_of_other_files_is_exit_code_2_and_stays_as_it_is(bge, notes):
    before = sorted(notes.rglob("*"))
    for result in (
        bge("index", notes, notes, "-m", "mini"),
        bge("index", notes),
        bge("search", notes, "bread"),
    ):
        assert (result.exit_code, result.stdout) == (2, "")
        assert "holds other files: bread.md, deep, more.jsonl" in result.stderr
    assert sorted(notes.rglob("*")) == before


def test_a_first_index_without_a_network_ends_with_the_command_to_try(bge, tmp_path, notes):
    offline = ("--offline", "--cache-folder", tmp_path / "cache")
    result = bge("index", tmp_path / "my idx", notes, *offline)
    assert result.exit_code == 3
    last = result.stderr.splitlines()[-1]
    assert last.endswith(f": bge index '{tmp_path}/my idx' {notes} --model mini")
    named = bge("index", tmp_path / "my idx", notes, "--model", "BAAI/bge-m3", *offline)
    assert named.exit_code == 3
    assert "bge index" not in named.stderr
    assert not (tmp_path / "my idx").exists()


def test_an_interrupt_leaves_what_was_acknowledged_and_says_how_much(bge, tmp_path, monkeypatch):
    texts = [Document(id=str(number), text=f"text {number}") for number in range(300)]

    def interrupted(*_):
        yield from texts
        raise KeyboardInterrupt

    monkeypatch.setattr("bge_components.cli.documents.documents_from", interrupted)
    result = bge("index", tmp_path / "idx", "-", *FAKE, "--channels", "dense")
    assert result.exit_code == 130
    assert "the first 256 documents are stored" in result.stderr
    monkeypatch.setattr("bge_components.cli.documents.documents_from", lambda *_: iter(texts))
    told = json.loads(bge("index", tmp_path / "idx", "-", *FAKE, "--json").stdout)
    assert (told["stored"], told["unchanged"]) == (44, 256)


def test_a_folder_without_an_index_is_exit_code_2_with_advice(bge, tmp_path):
    result = bge("index", tmp_path / "nothing")
    assert (result.exit_code, result.stdout) == (2, "")
    assert f"bge index {tmp_path / 'nothing'} FILES" in result.stderr
    assert not (tmp_path / "nothing").exists()


@pytest.mark.parametrize("channels", ["dense,shiny", "multi", ","])
def test_channels_that_cannot_be_are_exit_code_2(bge, tmp_path, corpus, channels):
    result = bge("index", tmp_path / "idx", corpus, *FAKE, "--channels", channels)
    assert (result.exit_code, result.stdout) == (2, "")


def test_a_checkpoint_without_such_an_output_is_refused(bge, tmp_path, corpus, tiny_bert):
    result = bge("index", tmp_path / "idx", corpus, "--model", tiny_bert, "--channels", "dense,sparse")
    assert result.exit_code == 2
    assert "bm25" in result.stderr


def test_a_second_process_is_told_who_holds_the_index(shell, tmp_path, corpus):
    encoder = make_encoder("mini")
    with HybridIndex.open(tmp_path / "idx", encoder) as index:
        index.add(documents_from([corpus]))
        done = shell(f"$BGE index idx {corpus} --model mini; $BGE search idx bread")
    assert done.stdout == ""
    assert done.stderr.count(str(os.getpid())) == 2
    assert "Traceback" not in done.stderr


def test_a_missing_engine_is_exit_code_3_with_the_pip_line(bge, tmp_path, corpus, monkeypatch):
    for name in [name for name in sys.modules if name.partition(".")[0] == "qdrant_edge"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "qdrant_edge", None)
    result = bge("index", tmp_path / "idx", corpus, *FAKE)
    assert result.exit_code == 3
    assert "pip install 'bge-components[edge]'" in result.stderr
    assert not (tmp_path / "idx").exists()
