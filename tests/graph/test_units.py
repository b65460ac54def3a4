"""What people write for a duration or a size, and what they are told when the unit is missing."""

from __future__ import annotations

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.graph.units import duration, format_duration, seconds_of, size


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("300ms", 0.3),
        ("2s", 2.0),
        ("5m", 300.0),
        ("1h", 3600.0),
        ("1.5s", 1.5),
        (".5s", 0.5),
        ("2.s", 2.0),
        ("250us", 0.00025),
        ("1e3ms", 1.0),
        ("0s", 0.0),
        (" 2s\n", 2.0),
        ("300 ms", 0.3),
    ],
)
def test_a_duration_is_seconds(text, seconds):
    assert duration(text) == pytest.approx(seconds, rel=1e-12)
    assert seconds_of(text) == duration(text)


@pytest.mark.parametrize("given", [0, 2, 1.5, math.inf])
def test_a_callers_number_is_seconds(given):
    assert seconds_of(given) == given


@pytest.mark.parametrize("given", [-1, math.nan, -math.inf, None, [], "5", "soon"])
def test_what_is_no_time_is_a_value_error_in_words(given):
    with pytest.raises(ValueError, match=r"."):
        seconds_of(given)


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("100B", 100),
        ("0B", 0),
        ("1KB", 1000),
        ("10MB", 10_000_000),
        ("2.3MB", 2_300_000),
        ("1GB", 10**9),
        ("1TB", 10**12),
        ("512KiB", 524_288),
        ("64MiB", 67_108_864),
        ("1.5GiB", 1_610_612_736),
        ("1TiB", 2**40),
        (" 64 MiB ", 67_108_864),
        ("8191TiB", 8191 * 2**40),
    ],
)
def test_a_size_is_bytes(text, count):
    found = size(text)
    assert found == count
    assert type(found) is int


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("300", "300 has no unit; write 300ms or 300s"),
        ("0.5", "0.5 has no unit; write 0.5ms or 0.5s"),
        ("0", "0 has no unit; write 0ms or 0s"),
        ("1e400", "1e400 has no unit; write 1e400ms or 1e400s"),
        ("-2s", "-2s is negative; a duration is 0 or more"),
        ("-300", "-300 is negative; a duration is 0 or more"),
        ("2w", '2w has the unit "w"; there are us, ms, s, m, h'),
        ("300MS", '300MS has the unit "MS"; there are us, ms, s, m, h'),
        ("5µs", '5µs has the unit "µs"; there are us, ms, s, m, h'),
        ("64MiB", '64MiB has the unit "MiB"; there are us, ms, s, m, h'),
        ("1e400s", "1e400s is too large for a duration"),
        ("1e305h", "1e305h is too large for a duration"),
        ("", '"" is not a duration; write a number and a unit, like 300ms, 2s, 5m'),
        ("s", '"s" is not a duration; write a number and a unit, like 300ms, 2s, 5m'),
        ("soon\n", '"soon" is not a duration; write a number and a unit, like 300ms, 2s, 5m'),
        ("1m30s", '"1m30s" is not a duration; write a number and a unit, like 300ms, 2s, 5m'),
        ("nan", '"nan" is not a duration; write a number and a unit, like 300ms, 2s, 5m'),
        ("infs", '"infs" is not a duration; write a number and a unit, like 300ms, 2s, 5m'),
        ("٣s", '"٣s" is not a duration; write a number and a unit, like 300ms, 2s, 5m'),
        ("1_000s", '"1_000s" is not a duration; write a number and a unit, like 300ms, 2s, 5m'),
    ],
)
def test_what_is_no_duration_is_named_with_the_way_out(text, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        duration(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("300", "300 has no unit; write 300B or 300MiB"),
        ("-1B", "-1B is negative; a size is 0 or more"),
        ("64mib", '64mib has the unit "mib"; there are B, KB, MB, GB, TB, KiB, MiB, GiB, TiB'),
        ("64M", '64M has the unit "M"; there are B, KB, MB, GB, TB, KiB, MiB, GiB, TiB'),
        ("1e400B", "1e400B is too large for a size"),
        ("8388608TiB", "8388608TiB is too large for a size"),
        ("big", '"big" is not a size; write a number and a unit, like 512KiB, 64MiB, 10MB'),
    ],
)
def test_what_is_no_size_is_named_with_the_way_out(text, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        size(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (0.00025, "250 us"),
        (0.3, "300 ms"),
        (0.0123456, "12.3 ms"),
        (0.00099996, "1 ms"),
        (0.99999, "1 s"),
        (1.5, "1.5 s"),
        (2, "2 s"),
        (59.4, "59.4 s"),
        (59.96, "1 m"),
        (90, "1 m 30 s"),
        (3599.7, "1 h"),
        (3661, "1 h 1 m 1 s"),
        (86400, "24 h"),
        (-3, "-3 s"),
        (math.inf, "no bound"),
    ],
)
def test_a_duration_is_shown_short(seconds, text):
    assert format_duration(seconds) == text


@given(st.text() | st.from_regex(r"\s*-?[0-9.]{1,9}(e-?[0-9]{1,3})? ?(us|ms|s|m|h|[KMGT]i?B)", fullmatch=True))
def test_any_text_is_a_quantity_or_a_one_line_refusal(text):
    for read in (duration, size):
        match outcome(read, text):
            case str() as refusal:
                assert len(refusal.splitlines()) == 1
            case found:
                assert 0 <= found < math.inf


def outcome(read, text):
    try:
        return read(text)
    except ValueError as error:
        return str(error)


@given(st.floats(1e-6, 59))
def test_what_is_shown_is_read_back_to_three_digits(seconds):
    assert duration(format_duration(seconds)) == pytest.approx(seconds, rel=0.006)


@given(st.integers(0, 2**53), st.sampled_from(["B", "KB", "KiB"]))
def test_whole_sizes_are_exact(count, unit):
    count //= 1024
    assert size(f"{count}{unit}") == count * {"B": 1, "KB": 1000, "KiB": 1024}[unit]


@pytest.mark.parametrize(
    "text", ["1" * 300_000 + "!", "1" * 300_000 + "." + "1" * 300_000 + "!", "1" + " " * 300_000 + "!"]
)
def test_a_quantity_is_read_in_time_that_follows_its_length(text):
    with pytest.raises(ValueError, match="a duration"):
        duration(text)
