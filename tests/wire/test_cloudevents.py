"""Calls that are events, and replies that are: CloudEvents 1.0 over HTTP, in both of its modes."""

from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import Code, InferError, InvalidInput
from pipeline.wire.cloudevents import Event, Sender, Stamp, data_of, enclosed, opened
from pipeline.wire.codec import Call, Reply

ATTRIBUTES = {"specversion": "1.0", "id": "a-1", "source": "/here", "type": "t"}
CE = {f"ce-{name}": text for name, text in ATTRIBUTES.items()}
STRUCTURED = {"content-type": "application/cloudevents+json; charset=utf-8"}
NOW = Stamp("new-id", "2026-11-30T10:00:00+00:00")
REPLIES = {
    "specversion": "1.0", "id": "new-id", "source": "io.kserve.inference.m", "type": "io.kserve.inference.response",
    "time": NOW.time,
}  # fmt: skip
JSON = Reply(200, {"content-type": "application/json", "x-a": "b"}, (b'{"a":', b"1}"))


def call(body=b"", **headers):
    return Call("POST", "/v1/models/m:predict", {name.replace("_", "-"): text for name, text in headers.items()}, body)


def structured(event, **headers):
    return call(json.dumps(event).encode(), **{**STRUCTURED, **headers})


def refused(own, code=Code.INVALID_ARGUMENT):
    with pytest.raises(InferError) as caught:
        opened(own)
    assert caught.value.code is code
    return caught.value.message


def test_what_is_no_event_is_the_call_itself():
    for own in (call(b"{}", content_type="application/json"), call(b"{}", ce_id="7"), call()):
        assert opened(own) == (own, None)


# ---- structured


@pytest.mark.parametrize(
    ("data", "media", "body"),
    [
        ({"data": {"instances": [1]}}, "application/json", b'{"instances":[1]}'),
        ({"data": None}, "application/json", b"null"),
        ({"data": "text"}, "application/json", b'"text"'),
        ({"data": "text", "datacontenttype": "text/plain; a=b"}, "text/plain; a=b", b"text"),
        ({"data": [1], "datacontenttype": "text/plain"}, "text/plain", b"[1]"),
        ({"data_base64": "/9g=", "datacontenttype": "image/jpeg"}, "image/jpeg", b"\xff\xd8"),
        ({"data_base64": "WzFd"}, "application/json", b"[1]"),
    ],
)
def test_the_data_of_a_structured_event_is_the_body_and_its_type_the_bodys(data, media, body):
    own, event = opened(structured({**ATTRIBUTES, **data}))
    assert (own.headers["content-type"], own.body) == (media, body)
    assert event == Event(ATTRIBUTES, structured=True)


def test_its_attributes_are_headers_to_a_model_as_those_of_the_other_mode_are():
    more = {"time": "2026-01-01T00:00:00Z", "num": 7, "yes": True, "gone": None, "text": 'ä "50%" €'}
    own, event = opened(structured({**ATTRIBUTES, **more, "data": 1}, x_a="b"))
    given_ = {name: text for name, text in own.headers.items() if name != "content-type"}
    assert given_ == {
        **CE, "x-a": "b", "ce-time": "2026-01-01T00:00:00Z", "ce-num": "7", "ce-yes": "true",
        "ce-text": "%C3%A4%20%2250%25%22%20%E2%82%AC",
    }  # fmt: skip
    assert event.attributes == {**ATTRIBUTES, **{name: own for name, own in more.items() if own is not None}}


@pytest.mark.parametrize(
    ("event", "says"),
    [
        ([1], "an event is an object, got a list"),
        ({"id": ...}, 'event attribute "id" is missing'),
        ({"id": ""}, "event attribute \"id\" is a text, and not empty; got ''"),
        ({"source": 5}, 'event attribute "source" is a text, and not empty; got 5'),
        ({"type": None}, 'event attribute "type" is missing'),
        ({"specversion": "0.3"}, "events are read in version 1.0, got '0.3'"),
        ({"Foo_bar": "x"}, 'event attribute "Foo_bar": a name is of lower-case letters and digits'),
        ({"foo": {}}, 'event attribute "foo" is a text, a whole number or a boolean, got an object'),
        ({"foo": 1.5}, 'event attribute "foo" is a text, a whole number or a boolean, got'),
        ({"datacontenttype": 1}, 'event attribute "datacontenttype" is a text, got'),
        (
            {"datacontenttype": "text/plain\r\nx-a: b"},
            'event attribute "datacontenttype" is printable ASCII in one line',
        ),
        ({"datacontenttype": "text/pläin"}, 'event attribute "datacontenttype" is printable ASCII in one line, got'),
        ({"data": 1, "data_base64": ""}, "an event has its data once, as data or as data_base64"),
        ({"data": ...}, "the event has no data, which is the request"),
        ({"data": ..., "data_base64": "?"}, "the data_base64 of the event is no base64"),
        ({"data": ..., "data_base64": 1}, "the data_base64 of an event is a text, got"),
    ],
)
def test_a_broken_structured_event_is_the_callers_fault(event, says):
    if isinstance(event, dict) and event:
        event = {name: own for name, own in {**ATTRIBUTES, "data": 1, **event}.items() if own is not ...}
    assert refused(structured(event)).startswith(says)
    assert "Unrecognized request format" in refused(call(b"{", **STRUCTURED))


def test_json_that_is_called_an_event_and_has_no_version_is_what_it_is():
    own, event = opened(call(b'{"instances": [1]}', **STRUCTURED))
    assert (event, own.json, own.body) == (None, True, b'{"instances": [1]}')


@pytest.mark.parametrize("media", ["application/cloudevents-batch+json", "application/cloudevents+xml"])
def test_several_events_in_one_and_other_forms_are_no_media_type_of_ours(media):
    says = refused(call(b"[]", content_type=media), Code.UNSUPPORTED_MEDIA)
    assert says.startswith(f'no "{media}"; an event comes by itself')


# ---- binary


@pytest.mark.parametrize(
    ("media", "body", "is_json"),
    [
        ("application/json", b"[1]", True),
        ("application/json", b"{", True),  # it says so, and the codec refuses it
        ("application/ld+json; a=b", b"{", True),
        (None, b"[1]", True),
        (None, b"\xff\xd8", False),
        ("image/jpeg", b"\xff\xd8", False),
        ("application/octet-stream", b"\xff\xd8", False),
        ("text/plain", b'{"instances": [1]}', True),
    ],
)
def test_the_body_of_a_binary_event_is_its_data_and_json_where_it_is_that(media, body, is_json):
    headers = {**CE, **({} if media is None else {"content-type": media})}
    own, event = opened(call(body, **headers))
    assert (own.body, own.json, own.headers) == (body, is_json, headers)
    assert event == Event(ATTRIBUTES, structured=False)


def test_headers_are_percent_encoded_and_may_be_quoted():
    headers = {"ce-text": "%C3%A4%20%2250%25%22", "ce-quoted": '"a \\"b\\" c"', "ce-odd-name": "x", "ce-plain": " a b "}
    _, event = opened(call(b"1", **CE, **headers))
    assert event.attributes == {**ATTRIBUTES, "text": 'ä "50%"', "quoted": 'a "b" c', "plain": "a b"}


@pytest.mark.parametrize(
    ("headers", "says"),
    [
        ({"ce-specversion": "0.3"}, "events are read in version 1.0, got '0.3'"),
        ({"ce-id": ""}, "event attribute \"id\" is a text, and not empty; got ''"),
        ({"ce-type": None}, 'event attribute "type" is missing'),
        ({"ce-source": "%ff"}, 'header "ce-source" is percent-encoded, and not UTF-8'),
    ],
)
def test_a_broken_binary_event_is_the_callers_fault(headers, says):
    given_ = {name: text for name, text in {**CE, **headers}.items() if text is not None}
    assert refused(call(b"1", **given_)) == says


# ---- replies


def test_the_reply_to_a_binary_event_has_its_attributes_in_headers():
    reply = enclosed(JSON, Event(ATTRIBUTES, structured=False), "m", Sender(), NOW)
    assert reply.headers == {**JSON.headers, **{f"ce-{name}": text for name, text in REPLIES.items()}}
    assert (reply.status, reply.body) == (200, JSON.body)


def test_the_reply_to_a_structured_event_is_one_in_kserves_order():
    reply = enclosed(JSON, Event(ATTRIBUTES, structured=True), "m", Sender(), NOW)
    assert reply.headers == {"content-type": "application/cloudevents+json", "x-a": "b"}
    body = json.loads(b"".join(reply.body))
    assert list(body.items()) == [*REPLIES.items(), ("data", {"a": 1})]


@pytest.mark.parametrize("media", [None, "image/gif"])
def test_bytes_are_base64_in_a_structured_event_and_themselves_in_a_binary_one(media):
    gif = Reply(200, {} if media is None else {"content-type": media}, (b"GIF89a",))
    body = json.loads(b"".join(enclosed(gif, Event(ATTRIBUTES, structured=True), "m", Sender(), NOW).body))
    typed = {} if media is None else {"datacontenttype": media}
    assert body == {**REPLIES, **typed, "data_base64": base64.b64encode(b"GIF89a").decode()}
    reply = enclosed(gif, Event(ATTRIBUTES, structured=False), "m", Sender(), NOW)
    assert (reply.body, reply.headers.get("content-type")) == (gif.body, media)


async def parts():
    yield b"x"


def test_a_stream_can_follow_headers_and_stand_in_no_body():
    stream = Reply(200, {}, stream=parts())
    assert enclosed(stream, Event(ATTRIBUTES, structured=False), "m", Sender(), NOW).stream is stream.stream
    with pytest.raises(InferError, match='model "m" answers with a stream, which no structured event holds') as caught:
        enclosed(stream, Event(ATTRIBUTES, structured=True), "m", Sender(), NOW)
    assert caught.value.code is Code.UNIMPLEMENTED


@pytest.mark.parametrize("mode", [True, False])
def test_the_sender_may_have_another_name_and_keep_what_the_call_said(mode):
    event = Event({**ATTRIBUTES, "time": "then", "subject": "s", "num": 7}, structured=mode)
    sender = Sender(type="ours", source="/us", merge=True)
    reply = enclosed(JSON, event, "m", sender, NOW)
    if mode:
        body = json.loads(b"".join(reply.body))
        assert body == {**REPLIES, "type": "ours", "source": "/us", "subject": "s", "num": 7, "data": {"a": 1}}
    else:
        told = {name.removeprefix("ce-"): text for name, text in reply.headers.items() if name.startswith("ce-")}
        assert told == {**REPLIES, "type": "ours", "source": "/us", "subject": "s", "num": "7"}


def test_json_that_is_an_event_and_does_not_say_so_is_read_as_kserve_reads_it():
    event = {**ATTRIBUTES, "time": "now", "data": {"instances": [1]}, "more": 1}
    assert data_of(event) == {"instances": [1]}
    for missing in event.keys() - {"more"}:
        less = {name: own for name, own in event.items() if name != missing}
        assert data_of(less) is less
    assert data_of([1]) == [1]


@given(st.text(min_size=1), st.integers(-(2**31), 2**31 - 1) | st.booleans() | st.text())
def test_attributes_survive_both_ways_whatever_they_say(source, extension):
    sent = {**ATTRIBUTES, "source": source.encode(errors="replace").decode(), "ext": extension}
    own, event = opened(structured({**sent, "data": 1}))
    try:
        _, again = opened(call(b"1", **{name: text for name, text in own.headers.items() if name != "content-type"}))
    except InvalidInput:
        assert not sent["source"].strip()
        return
    assert event.attributes["source"] == sent["source"]
    assert again.attributes["source"] == sent["source"]
    assert all(" " <= char <= "~" for text in own.headers.values() for char in text)


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
NAMES = st.sampled_from([*ATTRIBUTES, "time", "data", "data_base64", "datacontenttype", "ext", "Not-one"])


@given(
    st.dictionaries(NAMES, JUNK) | st.dictionaries(NAMES, JUNK).map(lambda some: {**ATTRIBUTES, **some}),
    st.dictionaries(NAMES.map("ce-{}".format), st.text(st.characters(max_codepoint=255))),
    st.sampled_from([None, "application/json", "application/cloudevents+json", "text/plain", "image/png"]),
)
def test_whatever_comes_is_a_call_or_an_error_of_the_caller(event, headers, media):
    typed = headers if media is None else {**headers, "content-type": media}
    try:
        own, found = opened(Call("POST", "/x", typed, json.dumps(event).encode()))
    except InferError as error:
        assert error.code is Code.INVALID_ARGUMENT
        return
    if found is not None:
        assert all(found.attributes[name] for name in ATTRIBUTES)
        reply = enclosed(JSON, found, "m", Sender(merge=True), NOW)
        assert all(" " <= char <= "~" for text in reply.headers.values() for char in text)
    else:
        assert own.headers == typed
