"""Dates and times in text, as filters compare them."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone

_ZONE = r"(?P<zone>[Zz]|(?P<sign>[+-])(?P<zone_hour>\d\d)(?::?(?P<zone_minute>\d\d))?)"
_DATE = re.compile(
    r"(?P<year>\d{4})-(?P<month>\d{1,2})-(?P<day>\d{1,2})"
    r"(?:[Tt ](?P<hour>\d{1,2}):(?P<minute>\d\d)"
    rf"(?::(?P<second>\d\d)(?:\.(?P<fraction>\d+))? ?{_ZONE}?)?)?",
    re.ASCII,
)


def parsed_date(text: str) -> datetime | None:
    """Read a date or time; see `filters` for the forms.

    Returns:
        With its time zone, UTC where the text names none; None where the text is no date.
    """
    found = _DATE.fullmatch(text)
    if found is None:
        return None
    year, month, day, hour, minute, second = (
        int(part or 0) for part in found.group("year", "month", "day", "hour", "minute", "second")
    )
    microsecond = int((found["fraction"] or "0")[:6].ljust(6, "0"))
    try:
        return datetime(year, month, day, hour, minute, second, microsecond, _zone(found))
    except ValueError:
        return None


def aware(moment: datetime) -> datetime:
    """Give a moment with a time zone: its own, or UTC."""
    return moment if moment.utcoffset() is not None else moment.replace(tzinfo=timezone.utc)


def _zone(found: re.Match[str]) -> timezone:
    if found["sign"] is None:
        return timezone.utc
    offset = timedelta(hours=int(found["zone_hour"]), minutes=int(found["zone_minute"] or 0))
    return timezone(-offset if found["sign"] == "-" else offset)
