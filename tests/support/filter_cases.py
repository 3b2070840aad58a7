"""What filters mean, case by case: one table, which the pure evaluation and every engine are held against."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

from bge_components.retrieval.filters import (
    And,
    Equals,
    Exists,
    Filter,
    In,
    IsDocument,
    IsHead,
    Not,
    Or,
    Range,
)

UTC = timezone.utc
BIG = 2**60

METADATA: dict[str, dict[str, Any]] = {
    "empty": {},
    "null": {"x": None},
    "no-element": {"x": []},
    "null-element": {"x": [None]},
    "one": {"x": 1},
    "one-float": {"x": 1.0},
    "half": {"x": 1.5},
    "true": {"x": True},
    "false": {"x": False},
    "zero": {"x": 0},
    "text-one": {"x": "1"},
    "blank": {"x": ""},
    "list": {"x": [1, "a", 7]},
    "list-in-list": {"x": [[1]]},
    "object": {"x": {"y": 1}},
    "no-member": {"x": {}},
    "deep": {"x": {"y": {"z": "a"}}},
    "list-of-objects": {"x": [{"y": 1}]},
    "object-of-list": {"x": {"y": [1, 2]}},
    "dotted": {"x.y": 1},
    "odd-names": {"naïve key": "é", "a[]": 1, 'quo"te': 2, "日本": ["東京"], "back\\slash": 3, "$x": 4},
    "big": {"x": BIG},
    "big-next": {"x": BIG + 1},
    "negative": {"x": -3},
    "day": {"x": "2024-05-01"},
    "moment": {"x": "2024-05-01T00:00:00Z"},
    "moment-east": {"x": "2024-05-01T02:00:00+02:00"},
    "moment-local": {"x": "2024-05-01 00:00"},
    "moment-fine": {"x": "2024-05-01T00:00:00.000001Z"},
    "days": {"x": ["soon", "2030-01-01"]},
    "month": {"x": "2024-05"},
}

DAY = {"day", "moment", "moment-east", "moment-local"}
MAY = datetime(2024, 5, 1, tzinfo=UTC)
EVERY = frozenset(METADATA)
HAS_X = EVERY - {"empty", "null", "no-element", "dotted", "odd-names"}

CASES: list[tuple[Filter, set[str] | frozenset[str]]] = [
    (Equals("x", 1), {"one", "one-float", "list"}),
    (Equals("x", 1.0), {"one", "one-float", "list"}),
    (Equals("x", 1.5), {"half"}),
    (Equals("x", 0), {"zero"}),
    (Equals("x", -3), {"negative"}),
    (Equals("x", True), {"true"}),
    (Equals("x", False), {"false"}),
    (Equals("x", "1"), {"text-one"}),
    (Equals("x", ""), {"blank"}),
    (Equals("x", "a"), {"list"}),
    (Equals("x", "A"), set()),
    (Equals("x", BIG + 1), {"big-next"}),
    (Equals("x.y", 1), {"object", "object-of-list"}),
    (Equals("x.y.z", "a"), {"deep"}),
    (Equals(("x.y",), 1), {"dotted"}),
    (Equals(("x", "y"), 1), {"object", "object-of-list"}),
    (Equals("naïve key", "é"), {"odd-names"}),
    (Equals("a[]", 1), {"odd-names"}),
    (Equals('quo"te', 2), {"odd-names"}),
    (Equals("back\\slash", 3), {"odd-names"}),
    (Equals("$x", 4), {"odd-names"}),
    (Equals("日本", "東京"), {"odd-names"}),
    (Equals("nowhere", 1), set()),
    (In("x", ()), set()),
    (In("x", (1, "1", True)), {"one", "one-float", "list", "text-one", "true"}),
    (In("x", ("a", 1.5)), {"list", "half"}),
    (In("x", (BIG, False)), {"big", "false"}),
    (Range("x", gte=1, lt=2), {"one", "one-float", "half", "list"}),
    (Range("x", gt=1, lte=1.5), {"half"}),
    (Range("x", gt=1, lt=7), {"half"}),
    (Range("x", lt=0), {"negative"}),
    (Range("x", gte=2**59), {"big", "big-next"}),
    (Range("x", gte=2, lt=1), set()),
    (Range("x.y", gte=2), {"object-of-list"}),
    (Range("x", gte=MAY, lte=MAY), DAY),
    (Range("x", gte=MAY.replace(tzinfo=None), lt=datetime(2024, 5, 2)), DAY | {"moment-fine"}),
    (Range("x", gt=MAY), {"moment-fine", "days"}),
    (Range("x", lte=MAY.astimezone(timezone(timedelta(hours=-5)))), DAY),
    (Exists("x"), HAS_X),
    (Exists("x.y"), {"object", "deep", "object-of-list"}),
    (Exists(("x.y",)), {"dotted"}),
    (Not(Exists("x")), EVERY - HAS_X),
    (Not(Equals("x", 1)), EVERY - {"one", "one-float", "list"}),
    (Not(In("x", ())), EVERY),
    (
        Not(Range("x", gte=-10)),
        EVERY - {"one", "one-float", "half", "zero", "list", "big", "big-next", "negative"},
    ),
    (Not(Not(Equals("x", "a"))), {"list"}),
    (And(()), EVERY),
    (Or(()), set()),
    (Not(Or(())), EVERY),
    (And((Equals("x", 1), Equals("x", "a"))), {"list"}),
    (And((Exists("x"), Not(Range("x", gt=0)), Not(Range("x", lte=0)), Equals("x", ""))), {"blank"}),
    (Or((Equals("x", 1.5), And((Equals("x", 0), Exists("x"))))), {"half", "zero"}),
    (Not(And((Exists("x"), Not(Equals("x", 1))))), (EVERY - HAS_X) | {"one", "one-float", "list"}),
    (IsDocument(("one", "absent")), {"one"}),
    (IsDocument(()), set()),
    (And((IsDocument(("one", "half")), Equals("x", 1))), {"one"}),
    (Not(IsDocument(("one",))), EVERY - {"one"}),
    (IsHead(), EVERY),
    (Not(IsHead()), set()),
]
"""A condition, and the documents of `METADATA` that meet it."""
NAMES = [repr(condition)[:60] for condition, _ in CASES]
"""What tests of each case are called: the same in every process, which sets are not."""
