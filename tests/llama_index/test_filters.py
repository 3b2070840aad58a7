from __future__ import annotations

from typing import Any

import pytest
from llama_index.core.schema import NodeRelationship, RelatedNodeInfo, TextNode
from llama_index.core.vector_stores.types import (
    FilterCondition,
    FilterOperator,
    MetadataFilter,
    MetadataFilters,
)
from llama_index.core.vector_stores.utils import build_metadata_filter_fn

from bge_components.errors import FilterError
from bge_components.llama_index.filters import checked_filters
from bge_components.llama_index.stored_nodes import documents_of
from bge_components.retrieval import And, Equals, Passage
from bge_components.retrieval.matching import matches

NODES = [
    TextNode(id_="0", text="x", metadata={"n": 1, "lang": "en", "tags": ["a", "b"], "on": "2024-05-01"}),
    TextNode(id_="1", text="x", metadata={"n": 2.5, "lang": "de", "tags": ["b"], "on": "2025-01-01"}),
    TextNode(id_="2", text="x", metadata={"n": -3, "lang": "", "tags": [], "a": {"b": 7}}),
    TextNode(id_="3", text="x", metadata={"lang": None, "a.b": 7}),
]
PASSAGES = [
    Passage(document=str(one.id), text=one.text, metadata=one.metadata) for one in documents_of(NODES)
]


def one(key: str, operator: str, value: Any) -> MetadataFilter:
    return MetadataFilter(key=key, value=value, operator=FilterOperator(operator))


def several(*parts: Any, condition: str = "and") -> MetadataFilters:
    return MetadataFilters(filters=list(parts), condition=FilterCondition(condition))


def found(given: Any) -> str:
    condition = checked_filters(given)
    return "".join(
        passage.document for passage in PASSAGES if condition is None or matches(passage, condition)
    )


@pytest.mark.parametrize(
    ("key", "operator", "value"),
    [
        ("n", "==", 1),
        ("n", "!=", 1),
        ("n", ">", 1),
        ("n", ">=", 1),
        ("n", "<", 2.5),
        ("n", "<=", 2.5),
        ("lang", "==", "en"),
        ("lang", "!=", "en"),
        ("lang", "in", ["en", "fr"]),
        ("lang", "nin", ["en", "fr"]),
        ("n", "in", [1, -3]),
        ("n", "nin", [1, -3]),
        ("tags", "contains", "a"),
        ("tags", "any", ["a", "z"]),
        ("tags", "all", ["a", "b"]),
        ("tags", "is_empty", None),
        ("lang", "is_empty", None),
        ("nowhere", "is_empty", None),
    ],
)
@pytest.mark.parametrize("condition", ["and", "or", "not"])
def test_a_filter_finds_what_llama_index_finds(key: str, operator: str, value: Any, condition: str) -> None:
    filters = several(one(key, operator, value), one("n", ">", 0), condition=condition)
    known = build_metadata_filter_fn(lambda node_id: NODES[int(node_id)].metadata, filters)

    assert found(filters) == "".join(node.node_id for node in NODES if known(node.node_id))


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (None, "0123"),
        (several(), "0123"),
        (one("n", "==", 1), "0"),
        (several(one("n", "==", 1), several(), condition="or"), "0123"),
        (
            several(
                one("n", ">", 0), several(one("lang", "==", "de"), one("tags", "all", ["a"]), condition="or")
            ),
            "01",
        ),
        (several(several(one("n", "==", 1), condition="not"), one("n", "<", 9)), "12"),
        (one("lang", "==", None), "3"),
        (one("lang", "!=", None), "012"),
        (one("a.b", "==", 7), "23"),
        (one("a.b", "!=", 7), "01"),
        (one("a.b", "is_empty", None), "01"),
        (one("on", ">", "2024-12-31"), "1"),
        (one("on", "<=", "2024-05-01T00:00:00Z"), "0"),
        ({"lang": "en"}, "0"),
        (Equals("lang", "en"), "0"),
        (And(()), "0123"),
    ],
    ids=str,
)
def test_filters_nest_and_reach_into_objects_and_dates(given: Any, expected: str) -> None:
    assert found(given) == expected


@pytest.mark.parametrize("key", ["ref_doc_id", "doc_id", "document_id"])
def test_the_source_of_a_node_is_a_field_as_in_other_stores(key: str) -> None:
    source = {NodeRelationship.SOURCE: RelatedNodeInfo(node_id="book")}
    nodes = [
        TextNode(text="x", relationships=source),
        TextNode(text="x", metadata={key: "book"}),
        TextNode(text="x"),
    ]
    condition = checked_filters(several(one(key, "==", "book")))
    assert condition is not None

    hit = [
        matches(Passage(document="", text="", metadata=document.metadata), condition)
        for document in documents_of(nodes)
    ]

    assert hit == [True, True, False]


@pytest.mark.parametrize(
    ("operator", "value", "message"),
    [
        ("text_match", "en", "does not look into texts"),
        ("text_match_insensitive", "en", "let the query ask for the words"),
        ("==", ["a"], "takes one value"),
        ("contains", None, "takes one value"),
        ("in", "a,b", "takes a list"),
        ("any", 3, "takes a list"),
        ("all", None, "takes a list"),
        (">", "b", "compares numbers, or dates"),
        ("<", [1, 2], "compares numbers, or dates"),
    ],
)
def test_what_cannot_be_asked_says_what_can(operator: str, value: Any, message: str) -> None:
    with pytest.raises(FilterError, match=f"filter of 'k': .*{message}"):
        checked_filters(several(one("k", operator, value)))


def test_a_filter_without_a_field_is_refused() -> None:
    with pytest.raises(FilterError, match="name of a metadata field"):
        checked_filters(one("", "==", 1))
