from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from bge_components.retrieval.dates import aware, parsed_date

UTC = timezone.utc


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2024-05-01", datetime(2024, 5, 1, tzinfo=UTC)),
        ("2024-05-01T12:30", datetime(2024, 5, 1, 12, 30, tzinfo=UTC)),
        ("2024-05-01 12:30:15", datetime(2024, 5, 1, 12, 30, 15, tzinfo=UTC)),
        ("2024-05-01t12:30:15z", datetime(2024, 5, 1, 12, 30, 15, tzinfo=UTC)),
        ("2024-05-01T12:30:15.5+02:00", datetime(2024, 5, 1, 10, 30, 15, 500_000, tzinfo=UTC)),
        ("2024-05-01T12:30:15.1234567Z", datetime(2024, 5, 1, 12, 30, 15, 123_456, tzinfo=UTC)),
        ("2024-05-01T12:30:15-0530", datetime(2024, 5, 1, 18, 0, 15, tzinfo=UTC)),
        (
            "9999-12-31T23:59:59-12:00",
            datetime(9999, 12, 31, 23, 59, 59, tzinfo=timezone(timedelta(hours=-12))),
        ),
    ],
)
def test_a_date_in_text_is_a_moment(text: str, moment: datetime) -> None:
    assert parsed_date(text) == moment


@pytest.mark.parametrize(
    "text",
    [
        "",
        "soon",
        "2024",
        "2024-05",
        "20240501",
        "2024-02-30",
        "2024-W18-3",
        " 2024-05-01",
        "2024-05-01\n",
        "2024-05-01Z",
        "2024-05-01T12:00Z",
        "2024-05-01T24:00:00",
        "2024-05-01T12:00:00+25:00",
        "٢٠٢٤-05-01",
    ],
)
def test_other_texts_are_no_dates(text: str) -> None:
    assert parsed_date(text) is None


def test_a_moment_without_zone_is_utc_and_one_with_a_zone_keeps_it() -> None:
    east = datetime(2024, 5, 1, tzinfo=timezone(timedelta(hours=2)))
    assert aware(datetime(2024, 5, 1)) == datetime(2024, 5, 1, tzinfo=UTC)
    assert aware(east) is east
