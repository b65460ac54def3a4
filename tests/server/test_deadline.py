"""The header that shortens a request's deadline: seconds, or with a unit; anything else is the caller's mistake."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import Code, InvalidInput
from server.deadline import HEADER, header_timeout


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("1.5", 1.5), ("0", 0), ("60", 60), (" 2 ", 2), ("300ms", 0.3), ("2s", 2), ("5m", 300), ("10us", 1e-5)],
)
def test_a_bare_number_is_seconds_and_a_unit_is_heeded(text, seconds):
    assert header_timeout({HEADER: text}) == pytest.approx(seconds)


def test_without_the_header_the_caller_sets_no_bound():
    assert header_timeout({}) == math.inf


@pytest.mark.parametrize("text", ["soon", "-1", "-1s", "", "nan", "inf", "1e999", "1 2", "٣", "5 parsecs", "9" * 400])
def test_what_is_no_duration_is_a_400_that_names_the_header(text):
    with pytest.raises(InvalidInput, match="x-request-timeout") as error:
        header_timeout({HEADER: text})
    assert error.value.code is Code.INVALID_ARGUMENT
    assert len(error.value.message) < 200


@given(st.text(max_size=60))
def test_any_text_is_a_number_of_seconds_or_that_400(text):
    try:
        seconds = header_timeout({HEADER: text})
    except InvalidInput:
        return
    assert 0 <= seconds < math.inf


@pytest.mark.parametrize("text", ["1" * 60_000 + "!", "1" * 65, "1." * 30_000, "." + "1" * 40_000 + "e"])
def test_a_time_of_any_length_is_refused_at_once(text):
    with pytest.raises(InvalidInput, match="x-request-timeout is seconds"):
        header_timeout({"x-request-timeout": text})
