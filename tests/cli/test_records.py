from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from bge_components.cli.options import InputFormat
from bge_components.cli.records import Record, batches_of, records_from
from bge_components.errors import InputError


@pytest.fixture
def write(tmp_path: Path):
    def write_file(content: str | bytes, name: str = "texts.txt") -> Path:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write_file


def test_lines_are_numbered_across_files_and_blank_ones_skipped(write):
    files = [write("one\n\n  \ntwo\r\n", "a.txt"), write("three", "b.txt")]
    assert list(records_from(files)) == [Record(0, "one"), Record(1, "two"), Record(2, "three")]


def test_json_lines_are_recognised_and_bring_their_own_ids(write):
    lines = [{"id": "x", "text": "one"}, {"text": "two"}, {"id": 7, "text": "three", "more": True}]
    file = write("\n".join(map(json.dumps, lines)))
    assert list(records_from([file])) == [Record("x", "one"), Record(1, "two"), Record(7, "three")]


def test_lines_that_merely_look_like_json_are_text(write):
    assert [record.text for record in records_from([write("{not json}\n{}")])] == ["{not json}", "{}"]


def test_json_lines_can_be_read_as_plain_text_when_asked(write):
    line = '{"text": "one"}'
    assert [record.text for record in records_from([write(line)], InputFormat.LINES)] == [line]


def test_a_byte_order_mark_is_no_part_of_the_text(write):
    assert list(records_from([write(b"\xef\xbb\xbfone")])) == [Record(0, "one")]


def test_a_lone_surrogate_in_json_becomes_a_replacement_character(write):
    assert list(records_from([write('{"text": "a\\ud800b"}')])) == [Record(0, "a\ufffdb")]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"good\n\xff\xfe bad", r"line 2 is not UTF-8 text \(byte 0xff"),
        (b"\x89PNG\r\n\x1a\n\x00\x00", r"line 1 is not UTF-8 text \(byte 0x89"),
        ('{"text": "a"}\n{"text": ', "line 2 is not JSON"),
        ('{"text": "a"}\n[1]', 'line 2 must be an object with a string "text"'),
        ('{"text": "a"}\n{"text": 3}', 'line 2 must be an object with a string "text"'),
        ('{"id": 1.5, "text": "a"}', '"id" must be a string or an integer'),
        ('{"id": true, "text": "a"}', '"id" must be a string or an integer'),
    ],
)
def test_what_is_no_text_is_refused_with_its_place(write, content, message):
    with pytest.raises(InputError, match=message):
        list(records_from([write(content)]))


def test_stdin_is_read_where_no_file_is_named(monkeypatch):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"from a pipe\n")))
    assert list(records_from(None)) == [Record(0, "from a pipe")]


def test_records_are_read_no_further_than_they_are_needed(write):
    records = records_from([write(b"one\ntwo\n\xff")])
    assert next(records).text == "one"
    assert next(records).text == "two"


def test_batches_start_small_and_grow():
    sizes = [len(batch) for batch in batches_of((Record(n, "x") for n in range(200)), 64)]
    assert sizes == [16, 32, 64, 64, 24]


def test_long_texts_make_small_batches():
    records = [Record(n, "x" * 300_000) for n in range(4)]
    assert [len(batch) for batch in batches_of(records, 64)] == [2, 2]
