"""What calls are known as."""

import uuid

from hypothesis import given
from hypothesis import strategies as st

from server.request_ids import RequestIds


@given(st.text(max_size=140) | st.text("abc-_~!", min_size=1, max_size=128))
def test_an_id_fits_a_header_and_is_the_callers_wherever_that_fits(text):
    found = RequestIds().of({"x-request-id": text})
    assert found.isascii()
    assert found.isprintable()
    assert " " not in found
    fits = 0 < len(text) <= 128 and all("!" <= c <= "~" for c in text)
    assert (found == text) == fits


def test_a_new_one_is_a_random_uuid_and_no_two_are_the_same():
    ids = RequestIds()
    made = [ids.of({}) for _ in range(1000)]
    assert len(set(made)) == len(made)
    for text in made:
        found = uuid.UUID(text)
        assert (str(found), found.version, found.variant) == (text, 4, uuid.RFC_4122)
