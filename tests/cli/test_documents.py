from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from bge_components.cli.documents import documents_from
from bge_components.cli.options import InputFormat
from bge_components.errors import InputError


def read(*lines: dict | str, folder: Path):
    file = folder / "corpus.jsonl"
    file.write_text("\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines))
    return list(documents_from([file]))


def test_a_record_brings_its_id_and_all_other_fields_are_metadata(tmp_path):
    record = {"id": 7, "text": "one", "lang": "en", "metadata": {"year": 2020, "lang": "de"}}
    (document,) = read(record, folder=tmp_path)
    assert (document.id, document.text) == ("7", "one")
    assert document.metadata == {"year": 2020, "lang": "en"}


def test_a_corpus_in_beir_layout_is_read_with_its_titles_before_the_texts(tmp_path):
    (document,) = read({"_id": "d1", "title": "Bread", "text": "Bake it.", "metadata": {}}, folder=tmp_path)
    assert (document.id, document.text) == ("d1", "Bread\nBake it.")
    assert document.metadata == {"title": "Bread"}


def test_records_without_ids_have_the_same_ids_whenever_and_wherever_they_are_read(tmp_path):
    first = read({"text": "one"}, {"text": "two"}, folder=tmp_path)
    again = read({"text": "zero"}, {"text": "two"}, {"text": "one"}, folder=tmp_path)
    assert [document.id for document in first] == [again[2].id, again[1].id]
    assert len({document.id for document in again}) == 3


def test_text_files_are_documents_of_their_own_and_folders_hold_both(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("docs/deep").mkdir(parents=True)
    Path("docs/bread.md").write_text("# Bread\n\nBake it.\n")
    Path("docs/deep/cats.html").write_text("<h1>Cats</h1><script>no</script><p>They sleep.</p>")
    Path("docs/more.jsonl").write_text('{"id": "x", "text": "more"}')
    Path("docs/picture.png").write_bytes(b"\x89PNG")
    documents = {document.id: document for document in documents_from([Path("docs")])}
    bread, cats = (
        tmp_path.resolve().as_posix() + name for name in ("/docs/bread.md", "/docs/deep/cats.html")
    )
    assert documents.keys() == {bread, cats, "x"}
    assert documents[bread].text == "# Bread\n\nBake it.\n"
    assert documents[bread].metadata == {"source": bread}
    assert documents[cats].text.split() == ["#", "Cats", "They", "sleep."]


def test_a_text_file_is_the_same_document_however_its_path_is_spelled(tmp_path, monkeypatch):
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "bread.md").write_text("Bake it.")
    (tmp_path / "link").symlink_to(tmp_path / "docs")
    monkeypatch.chdir(tmp_path)
    ways = ["docs", "./docs/../docs", tmp_path / "docs", "link", "docs/bread.md"]
    assert (
        len(
            {
                (document.id, str(document.metadata))
                for way in ways
                for document in documents_from([Path(way)])
            }
        )
        == 1
    )


def test_stdin_is_lines_or_records_as_its_first_line_looks(monkeypatch):
    def from_stdin(content: bytes) -> list[str]:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content)))
        return [document.text for document in documents_from([Path("-")])]

    assert from_stdin(b"one\n\ntwo\n") == ["one", "two"]
    assert from_stdin(b'{"text": "one"}\n{"text": "two"}\n') == ["one", "two"]


def test_a_text_file_is_read_line_by_line_when_asked(tmp_path):
    (tmp_path / "lines.txt").write_text("one\ntwo\n")
    documents = documents_from([tmp_path / "lines.txt"], InputFormat.LINES)
    assert [document.text for document in documents] == ["one", "two"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"id": "x"}', 'line 1 must be an object with a string "text"'),
        ('{"text": "a", "_id": 1.5}', '"id" must be a string or an integer'),
        ('{"text": "a", "metadata": [1]}', '"metadata" must be an object, got list'),
        ("plain", "line 1 is not JSON"),
    ],
)
def test_what_is_no_document_is_refused_with_its_place(tmp_path, line, message):
    with pytest.raises(InputError, match=message):
        read(line, folder=tmp_path)


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        list(documents_from([tmp_path / "nothing.md"]))
