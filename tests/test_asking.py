"""What a client's caller passes, as a request: names, headers, ids, and every refusal."""

import numpy as np
import pytest

from pipeline.asking import headers_of, named, request_of
from pipeline.errors import InvalidInput


def test_a_request_is_made_of_the_arguments():
    request = request_of("m", {"x": [1, 2]}, outputs="y", parameters={"p": 1}, headers={"X-A": "b"}, version=2, id="7")
    assert (request.model, request.version, request.id, request.outputs) == ("m", "2", "7", ("y",))
    assert (request["x"].tolist(), request.parameters) == ([1, 2], {"p": 1})
    assert request.headers == {"x-a": "b", "x-request-id": "7"}
    assert request.timeout is None


def test_what_is_left_out_is_empty_and_the_id_is_new():
    one, other = request_of("m", {}), request_of("m", {}, id="")
    assert (one.version, one.outputs, one.parameters, one.inputs) == ("", (), {}, {})
    assert one.id != other.id != ""
    assert one.headers == {"x-request-id": one.id}


@pytest.mark.parametrize(
    ("id", "header", "known_as", "sent"),
    [
        (None, "mine", "mine", "mine"),
        ("", "mine", "mine", "mine"),
        ("own", "mine", "own", "own"),
        ("with space", "mine", "with space", "mine"),
        (5, None, "5", "5"),
        (0, "mine", "0", "0"),
    ],
)
def test_the_id_is_the_callers_or_that_of_its_header(id, header, known_as, sent):
    request = request_of("m", {}, id=id, headers={"X-Request-Id": header} if header else None)
    assert (request.id, request.headers) == (known_as, {"x-request-id": sent})


@pytest.mark.parametrize("id", ["with space", "ä", "new\nline", "x" * 129])
def test_an_id_that_no_header_carries_is_in_the_body_only(id):
    request = request_of("m", {}, id=id)
    assert (request.id, request.headers) == (id, {})


def test_an_array_is_taken_without_a_copy():
    array = np.zeros(3)
    assert np.shares_memory(request_of("m", {"x": array})["x"], array)
    assert array.flags.writeable


@pytest.mark.parametrize(
    ("model", "version"), [("m", ""), ("a b", "2"), ("m:predict", 3), ("..m", "1.0"), ("ä%?#", "")]
)
def test_names_are_kept(model, version):
    assert named(model, version) == (model, str(version))


def test_no_version_is_none():
    assert named("m", None) == ("m", "")


@pytest.mark.parametrize(
    ("model", "version", "says"),
    [
        ("", "", "a model is named"),
        ("a/b", "", 'not "a/b"'),
        (".", "", "a model is named"),
        ("..", "", "a model is named"),
        ("m", "..", "a version is"),
        ("m", "1/ready", "a version is"),
    ],
)
def test_a_name_that_would_make_another_path_is_refused(model, version, says):
    with pytest.raises(InvalidInput, match=says):
        named(model, version)


@pytest.mark.parametrize(
    "name",
    [
        "Accept-Encoding", "Connection", "Content-Encoding", "Content-Length", "Content-Type", "Expect", "Keep-Alive",
        "Inference-Header-Content-Length", "Proxy-Connection", "TE", "Trailer", "Transfer-Encoding", "Upgrade",
    ],
)  # fmt: skip
def test_a_header_that_describes_the_connection_or_the_body_is_the_clients_own(name):
    assert headers_of({name: "x", "x-kept": "y"}) == {"x-kept": "y"}


def test_headers_are_in_lower_case_and_those_of_the_body_are_dropped():
    given = {
        "X-A": " b ",
        "Host": "h",
        "Content-Length": "3",
        "Transfer-Encoding": "chunked",
        "Connection": "close",
        "n": 5,
    }
    assert headers_of(given) == {"x-a": "b", "host": "h", "n": "5"}
    assert headers_of(None) == {}


@pytest.mark.parametrize(
    ("name", "text"),
    [("a b", "x"), ("", "x"), ("a:", "x"), ("a", "x\r\ny: z"), ("a", "x\0"), ("a", "ä"), ("ä", "x"), ("a\n", "x")],
)
def test_a_header_that_would_break_the_request_is_refused_by_name(name, text):
    with pytest.raises(InvalidInput, match="header "):
        headers_of({name: text})
