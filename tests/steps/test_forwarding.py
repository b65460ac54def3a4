"""Which headers of a request travel on with a call."""

from __future__ import annotations

import pytest

from pipeline.errors import InvalidInput
from pipeline.steps.forwarding import travelling
from pipeline.steps.remote import FORWARDED

ID, PARENT = "a" * 32, "b" * 16
GOOD = f"00-{ID}-{PARENT}-01"


def sent(headers, names=FORWARDED, id="7"):
    found = travelling("predict", names, headers, id)
    found.pop("x-request-id", None)
    return found


@pytest.mark.parametrize(
    "parent",
    [GOOD, f"00-{ID}-{PARENT}-00", f"01-{ID}-{PARENT}-01", f"01-{ID}-{PARENT}-01-more", f"cc-{ID}-{PARENT}-ff-a-b"],
)
@pytest.mark.parametrize(
    "state", ["a=b", "a=b,c=d", "a=b , c=d", "t@v=x y", "a=b,,c=d", ",".join(f"k{n}=v" for n in range(32)), ""]
)
def test_a_trace_context_travels(parent, state):
    headers = {"traceparent": parent, "tracestate": state}
    assert sent(headers) == headers


@pytest.mark.parametrize(
    "parent",
    [
        "", "garbage", "00-1-2-01", f"00-{ID}-{PARENT}", f"00-{ID}-{PARENT}-01-", f"00-{ID}-{PARENT}-01-more",
        f"00-{ID}-{PARENT}-01x", f"01-{ID}-{PARENT}-01x", f"ff-{ID}-{PARENT}-01", f"00-{'0' * 32}-{PARENT}-01",
        f"00-{ID}-{'0' * 16}-01", f"00-{ID.upper()}-{PARENT}-01", f"00-{ID}-{PARENT}-01, {GOOD}", "café",
        f"01-{ID}-{PARENT}-01-\n",
    ],
)  # fmt: skip
def test_one_that_is_none_goes_no_further_and_its_state_neither(parent):
    assert sent({"traceparent": parent, "tracestate": "a=b"}) == {}


@pytest.mark.parametrize(
    "state", ["café", "a", "a=", "=b", "A=b", "a=b\r\nx: y", "a=b=c", ",".join(f"k{n}=v" for n in range(33))]
)
def test_a_state_that_is_none_goes_no_further(state):
    assert sent({"traceparent": GOOD, "tracestate": state}) == {"traceparent": GOOD}


def test_a_state_without_a_parent_says_nothing():
    assert sent({"tracestate": "a=b"}) == {}


def test_a_header_that_was_asked_for_and_cannot_be_sent_is_told_with_its_name_and_the_step():
    with pytest.raises(InvalidInput) as caught:
        sent({"x-user": "café"}, names=("x-user",))
    assert caught.value.message.startswith('step "predict" cannot send it on: header "x-user": ')


@pytest.mark.parametrize("connection", ["x-user", "close, X-User", "keep-alive ,x-user"])
def test_what_was_for_one_connection_stays(connection):
    headers = {"x-user": "anna", "x-other": "b", "connection": connection}
    assert sent(headers, names=("x-user", "x-other")) == {"x-other": "b"}


@pytest.mark.parametrize(("headers", "id", "sent_on"), [
    ({}, "7", "7"), ({"x-request-id": "8"}, "7", "8"), ({}, "a b", None), ({"x-request-id": "8"}, "a b", "8"),
])  # fmt: skip
def test_the_id_travels_where_a_header_can_carry_it(headers, id, sent_on):
    assert travelling("predict", FORWARDED, headers, id).get("x-request-id") == sent_on
