from __future__ import annotations

from datetime import date, datetime, timezone
from typing import Any

import pytest

from bge_components.errors import FilterError
from bge_components.retrieval.filters import (
    And,
    Equals,
    Exists,
    Filter,
    In,
    IsDocument,
    Not,
    Or,
    Range,
    parsed_filter,
    path_of,
)

MAY = datetime(2024, 5, 1, tzinfo=timezone.utc)


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ({"lang": "en"}, Equals("lang", "en")),
        ({"lang": ["en", "de"]}, In("lang", ("en", "de"))),
        ({"a.b": 1, "c": True}, And((Equals("a.b", 1), Equals("c", True)))),
        ({"year": {"$gte": 2020, "$lt": 2024}}, Range("year", gte=2020, lt=2024)),
        (
            {"year": {"$gt": 1, "$lte": 2, "$ne": 2}},
            And((Range("year", gt=1, lte=2), Not(Equals("year", 2)))),
        ),
        ({"lang": {"$eq": "en"}}, Equals("lang", "en")),
        ({"lang": {"$in": ["en"]}}, In("lang", ("en",))),
        ({"lang": {"$nin": ("en",)}}, Not(In("lang", ("en",)))),
        ({"lang": {"$exists": True}}, Exists("lang")),
        ({"lang": {"$exists": False}}, Not(Exists("lang"))),
        ({"lang": {"$not": {"$in": ["en"]}}}, Not(In("lang", ("en",)))),
        ({"lang": None}, Not(Exists("lang"))),
        ({"lang": {"$ne": None}}, Not(Not(Exists("lang")))),
        ({"$or": [{"a": 1}, {"b": 2}]}, Or((Equals("a", 1), Equals("b", 2)))),
        ({"$and": [{"a": 1}, IsDocument(("x",))]}, And((Equals("a", 1), IsDocument(("x",))))),
        ({"$not": {"a": 1, "b": 2}}, Not(And((Equals("a", 1), Equals("b", 2))))),
        ({"$or": [{}]}, Or((And(()),))),
        ({"when": {"$gte": "2024-05-01"}}, Range("when", gte=MAY)),
        ({"when": {"$lt": MAY}}, Range("when", lt=MAY)),
        ({"when": {"$lt": date(2024, 5, 1)}}, Range("when", lt=MAY.replace(tzinfo=None))),
    ],
)
def test_a_mapping_is_read_as_users_of_vector_stores_mean_it(given: Any, meant: Filter) -> None:
    assert parsed_filter(given) == meant


@pytest.mark.parametrize("given", [None, {}])
def test_nothing_given_is_no_condition(given: Any) -> None:
    assert parsed_filter(given) is None


def test_a_filter_is_given_back_as_it_is() -> None:
    condition = Not(Equals("a", 1))
    assert parsed_filter(condition) is condition


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"year": {"$gtee": 1}}, r"unknown filter operator '\$gtee'.*\$gt, \$gte.*did you mean \$gte\?"),
        ({"year": {"$regex": "x"}}, r"unknown filter operator '\$regex'.*'year'.*\$exists, \$not$"),
        ({"$nor": [{"a": 1}]}, r"unknown filter operator '\$nor'.*\$and, \$or, \$not; did you mean \$or\?"),
        ({"a": {"b": 1}}, r"'a'.*'a\.name'"),
        ({"a": {"$eq": 1, "b": 1}}, "expected operators"),
        ({"a": {}}, "expected operators"),
        ({"$or": {"a": 1}}, r"\$or takes a list"),
        ({"$and": ["a"]}, "a condition is a mapping"),
        ({"$not": None}, "a condition is a mapping"),
        ({"a": {"$in": "en"}}, r"\$in takes a list, got 'en'"),
        ({"a": {"$exists": 1}}, r"\$exists takes True or False, got 1"),
        ({"a": {"$gt": "tall"}}, "numbers or dates such as '2024-05-01', got 'tall'"),
        ({"a": {"$gt": True}}, "numbers or datetimes, got True"),
        ({"a": {"$gt": 1, "$lt": "2024-05-01"}}, "mixes numbers and dates"),
        ({"a": {"$gt": None}}, "needs a bound"),
        ({"a": MAY}, "dates are compared with a range"),
        ({"a": [["x"]]}, "a value is a text, a number or a truth value"),
        ({1: "x"}, "name of a metadata field, got 1"),
        ("lang = 'en'", "a filter is a mapping or one of the filter classes, got str"),
    ],
)
def test_a_mapping_that_makes_no_sense_is_refused_with_the_reason(given: Any, said: str) -> None:
    with pytest.raises(FilterError, match=said):
        parsed_filter(given)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Equals("a", None), "null with Exists"),  # type: ignore[arg-type]
        (lambda: Equals("a", float("nan")), "nan cannot be compared"),
        (lambda: Equals("a", 2**63), "beyond 64 bits"),
        (lambda: Equals("", 1), "name of a metadata field"),
        (lambda: Equals("a..b", 1), "name of a metadata field"),
        (lambda: Equals((), 1), "name of a metadata field"),
        (lambda: Equals(["a"], 1), "name of a metadata field"),  # type: ignore[arg-type]
        (lambda: In("a", "en"), "In of 'a' needs a tuple, got 'en'"),  # type: ignore[arg-type]
        (lambda: In("a", (b"x",)), "a value is a text"),  # type: ignore[arg-type]
        (lambda: Range("a"), "needs a bound: gt, gte, lt or lte"),
        (lambda: Range("a", gt=float("inf")), "inf cannot be compared"),
        (lambda: Range("a", gt="2024"), "numbers or datetimes, got '2024'"),  # type: ignore[arg-type]
        (lambda: Range("a", gt=1, lt=MAY), "mixes numbers and dates"),
        (lambda: Exists("."), "name of a metadata field"),
        (lambda: And([Exists("a")]), "And needs a tuple"),  # type: ignore[arg-type]
        (lambda: Or(({"a": 1},)), "Or needs filters"),  # type: ignore[arg-type]
        (lambda: Not({"a": 1}), "Not needs filters"),  # type: ignore[arg-type]
        (lambda: IsDocument("x"), "IsDocument needs a tuple"),  # type: ignore[arg-type]
        (lambda: IsDocument((1,)), "ids of documents are strings"),  # type: ignore[arg-type]
    ],
)
def test_a_condition_that_can_mean_nothing_cannot_be_made(make: Any, said: str) -> None:
    with pytest.raises(FilterError, match=said):
        make()


def test_a_path_is_split_at_dots_unless_it_is_taken_literally() -> None:
    assert path_of("a.b") == ("a", "b")
    assert path_of(("a.b", "c")) == ("a.b", "c")
