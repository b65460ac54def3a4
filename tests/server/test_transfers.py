"""Downloads in words."""

from pathlib import Path

import pytest

from server.transfers import amount, far, rate, sentence
from storage.events import Found, Kept, Listed, Moved


@pytest.mark.parametrize(
    ("event", "says"),
    [
        (Listed("u", 1, None, 0), "u: 1 file, of unknown size"),
        (Listed("u", 2, 2048, 1024), "u: 2 files, 2.0 KiB, 1.0 KiB of it are here already"),
        (Moved("u", 5, 10), "u: 50 % (5 B of 10 B)"),
        (Moved("u", 5, None), "u: 5 B"),
        (Found("u", Path("/p")), "u: it is in the cache"),
        (Found("u", Path("/p"), 0.0), "u: offline, it is as it was listed at 1970-01-01 00:00:00 UTC"),
        (Kept("u", Path("/p")), "u: what was downloaded is kept for 24 hours in /p; pull it again to go on"),
    ],
)
def test_what_happens_is_a_sentence(event, says):
    assert sentence(event) == says


def test_amounts_have_units_of_1024():
    assert [amount(2**40 * 3), far(0, 0), rate(2**21, 2)] == ["3.0 TiB", "0 B", "1.0 MiB/s"]
