"""Durations are written as Go and CEL write them; times as Kubernetes stores them."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from gantry.api import parse_duration, parse_timestamp, timestamp


@pytest.mark.parametrize(
    ("text", "seconds"), [("200ms", 0.2), ("1s", 1), ("10m", 600), ("1h30m", 5400), ("0.5h", 1800), ("720h", 2592000)]
)
def test_a_duration_is_read(text: str, seconds: float) -> None:
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "10", "5 m", "1d", "-3s", "m", "1h 2m"])
def test_anything_else_is_refused_with_examples(text: str) -> None:
    with pytest.raises(ValueError, match="write for example 200ms, 30s, 10m or 1h30m"):
        parse_duration(text)


def test_a_time_is_written_in_utc_with_whole_seconds() -> None:
    noon = datetime(2026, 11, 24, 13, 0, 0, 900000, tzinfo=timezone(timedelta(hours=1)))
    assert timestamp(noon) == "2026-11-24T12:00:00Z"
    assert parse_timestamp(timestamp(noon)) == datetime(2026, 11, 24, 12, 0, 0, tzinfo=UTC)
