import json

import pytest

from bge_components.errors import FilterError
from bge_components.retrieval.engines.qdrant_terms.names import (
    escaped,
    json_path,
    unescaped,
    with_escaped_names,
    with_unescaped_names,
)

ODD = ['"', "\\", "\x1a", "\x1a22.", "\ud800", "a\udfffb", '"\\"', "\x1a\x1a1a.", "日本", "", "plain.name"]


@pytest.mark.parametrize("text", ODD, ids=ascii)
def test_any_text_is_written_as_a_quoted_name_and_read_back(text):
    written = escaped(text)
    written.encode("utf-8")
    assert unescaped(written) == text
    assert json_path(("metadata", written)) == f'"metadata"."{written}"'


def test_different_texts_are_written_differently():
    assert len({escaped(text) for text in ODD}) == len(ODD)
    assert escaped("naïve key.x[]") == "naïve key.x[]"


def test_names_are_written_at_every_depth_and_values_are_left_alone():
    metadata = {'a"': [{"\\": '"'}, ['"']], "b": None}
    written = with_escaped_names(metadata)
    assert not {'"', "\\"} & set("".join([*written, *written[escaped('a"')][0]]))
    assert with_unescaped_names(written) == metadata
    assert json.dumps(metadata) == '{"a\\"": [{"\\\\": "\\""}, ["\\""]], "b": null}'


@pytest.mark.parametrize("name", ['quo"te', "back\\slash", "\ud800"], ids=ascii)
def test_a_name_that_no_path_can_hold_is_refused_by_name(name):
    with pytest.raises(FilterError, match="cannot stand in Qdrant's paths"):
        json_path(("metadata", name))
