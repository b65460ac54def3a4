"""A form of the access line: gunicorn's names, a dash for what nobody knows."""

from __future__ import annotations

import pytest

from server.access import Answered, line_form, written

EVENT = Answered("id-1", "POST", "/v1/models/m:predict", 200, 1.2345678, 45)


@pytest.mark.parametrize(
    ("form", "line"),
    [
        ("%(r)s %(s)s", "POST /v1/models/m:predict 200"),
        ('%(client_addr)s - "%(request_line)s" %(status_code)s', '- - "POST /v1/models/m:predict" 200'),
        ("%(m)s|%(U)s|%(full_path)s|%(b)s|%(B)d", "POST|/v1/models/m:predict|/v1/models/m:predict|45|45"),
        ("%(L)s %(M)d %(D)d %(T)d", "1.234568 1234 1234567 1"),
        ("%({X-Request-Id}i)s %({x-request-id}o)s %({user-agent}i)s", "id-1 id-1 -"),
        ("nothing of it, 100%%", "nothing of it, 100%"),
    ],
)
def test_a_form_is_filled_in(form, line):
    assert written(line_form(form), EVENT) == line


@pytest.mark.parametrize("form", ["%(s)", "%(s", "%s %s", "%(r)d", "%(h)d", "%"])
def test_what_cannot_be_filled_in_is_refused_with_a_way_out(form):
    with pytest.raises(ValueError, match=r'is no form of a line: .*; write "%\(r\)s %\(s\)s"'):
        line_form(form)
