"""What a call carries that no log line shows, whoever repeats it."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import Code, InferError
from pipeline.steps.secrets import concealed, secrets_of
from pipeline.steps.upstream import lost, refused, unreadable, unready
from pipeline.tensors.message import AskLive
from pipeline.wire.codec import Call, Reply

URL = "http://host"


@pytest.mark.parametrize(
    ("base", "headers", "secrets"),
    [
        ("http://host/a", {}, set()),
        ("http://host", {"x-request-id": "7", "traceparent": "00-1", "content-type": "a/b", "x-user": "anna"}, set()),
        ("http://bob:hunter2@host", {}, {"hunter2", "Ym9iOmh1bnRlcjI="}),
        ("http://bob:a%40b@host", {}, {"a@b", "a%40b", "Ym9iOmFAYg=="}),
        ("http://bob@host", {}, {"Ym9iOg=="}),
        (URL, {"authorization": "Bearer abc"}, {"abc"}),
        (URL, {"authorization": "abc"}, {"abc"}),
        (URL, {"authorization": "Basic Ym9iOmh1bnRlcjI="}, {"hunter2", "Ym9iOmh1bnRlcjI="}),
        (URL, {"authorization": "Basic no base64"}, {"no base64"}),
        (URL, {"cookie": "a=b1; c=d2=e; f; g="}, {"b1", "d2=e"}),
        (URL, {"x-api-key": "k1", "x-auth-token": "t1", "x-session": "s1"}, {"k1", "t1", "s1"}),
        (URL, {"authorization": ""}, set()),
    ],
)
def test_what_is_secret(base, headers, secrets):
    assert secrets_of(base, headers) == secrets


@given(
    before=st.text(max_size=30), secret=st.text("abc=", min_size=4), after=st.text(max_size=30), most=st.integers(0, 90)
)
def test_no_part_of_a_secret_is_shown_wherever_the_text_is_cut(before, secret, after, most):
    shown = concealed(f"{before.upper()}{secret}{after.upper()}", {secret}, most)
    whole = concealed(f"{before.upper()}{after.upper()}", set())
    assert sum(map(shown.count, "abc=")) <= sum(map(whole.count, "abc=")) + shown.count("[hidden]")
    assert "\n" not in shown


def test_a_text_without_secrets_is_shown_on_one_line():
    assert concealed("a \n b\0c", ()) == "a b\N{REPLACEMENT CHARACTER}c"
    assert concealed("abcdef", (), 3) == "abc…"
    assert concealed("abc", (), 3) == "abc"


SECRET = "hunter2-and-more"
CALL = Call("POST", "/x", {"authorization": f"Bearer {SECRET}"})
SECRETS = secrets_of(f"http://bob:{SECRET}@host", CALL.headers)


@pytest.mark.parametrize("before", ["", "x" * 484, "x" * 485, "x" * 495, "x" * 499, "ä" * 245, "ä" * 249, " " * 495])
@pytest.mark.parametrize(
    "repeated", [SECRET, base64.b64encode(f"bob:{SECRET}".encode()).decode(), 50 * f"Bearer {SECRET}\n"]
)
def test_a_body_that_repeats_one_is_shown_without_it(before, repeated):
    reply = Reply(400, {}, (f"{before}{repeated} and more".encode(),))
    own = InferError(Code.BAD_UPSTREAM, f"no name {repeated!r}")
    for error in (
        refused("p", URL, CALL, reply, AskLive(), SECRETS),
        unreadable("p", own, URL, CALL, reply, SECRETS),
        lost("p", own, SECRETS),
    ):
        assert SECRET[:4] not in error.internals
        assert repeated[:6] not in error.internals.replace("Bearer", "")
        assert len(error.internals) < 5000
    assert SECRET not in unready(URL, CALL, own, SECRETS)
