"""Downloads in words."""

from pathlib import Path

import pytest

from server.transfers import Tenths, amount, far, rate, sentence
from storage.events import Found, Kept, Listed, Moved, Unpacking


@pytest.mark.parametrize(
    ("event", "says"),
    [
        (Listed("u", 1, None, 0), "u: 1 file, of unknown size"),
        (Listed("u", 2, 2048, 1024), "u: 2 files, 2.0 KiB, 1.0 KiB of it are here already"),
        (Moved("u", 5, 10), "u: 50 % (5 B of 10 B)"),
        (Moved("u", 5, None), "u: 5 B"),
        (Unpacking("u", "m.zip"), "u: unpacking m.zip"),
        (Found("u", Path("/p")), "u: it is in the cache"),
        (Found("u", Path("/p"), 0.0), "u: offline, it is as it was listed at 1970-01-01 00:00:00 UTC"),
        (Kept("u", Path("/p")), "u: what was downloaded is kept for 24 hours in /p; pull it again to go on"),
    ],
)
def test_what_happens_is_a_sentence(event, says):
    assert sentence(event) == says


def test_bytes_are_worth_a_line_at_each_tenth_and_without_a_size_at_each_gibibyte():
    tenths = Tenths()
    assert tenths.line(Listed("u", 1, 10, 0)) == "u: 1 file, 10 B"
    told = [tenths.line(Moved("u", done, 10)) for done in (0, 1, 1, 2, 5, 9, 10)]
    assert [line and line.split(" (")[0] for line in told] == [
        None,
        "u: 10 %",
        None,
        *(f"u: {n}0 %" for n in (2, 5, 9, 10)),
    ]
    assert tenths.line(Kept("u", Path("/p"))) is not None
    assert tenths.line(Moved("u", 10, 10)) is None, "it has ended"
    tenths.line(Listed("v", 1, None, 0))
    assert [bool(tenths.line(Moved("v", n * 2**29, None))) for n in range(5)] == [False, False, True, False, True]


def test_amounts_have_units_of_1024():
    assert [amount(2**40 * 3), far(0, 0), rate(2**21, 2)] == ["3.0 TiB", "0 B", "1.0 MiB/s"]
