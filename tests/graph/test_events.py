"""What is too large, no text, or no YAML: one line each, with its place."""

from __future__ import annotations

import pytest

from pipeline.graph import events
from tests.graph.reading import FILE, fault, value


@pytest.mark.parametrize(
    "data", [b"a" * (10 << 20), b"[" * (10 << 20), b"\xff" * (10 << 20), b"\0" * (1 << 20) + b"\0"]
)
def test_a_file_that_is_too_large_is_not_looked_at(data, monkeypatch):
    monkeypatch.setattr(events, "YAML", None)
    expected = f"{FILE}:1:1: the file is too large; a graph file has 1,048,576 bytes at most"
    assert fault(data) == expected


def test_a_file_of_exactly_the_limit_is_read():
    assert value(b"a: 1 #" + b"x" * (events.MAX_BYTES - 6)) == {"a": 1}


@pytest.mark.parametrize("text", ["", "\n\n", "# only\n  # comments\n", "---\n", "--- # x\n...\n", "\ufeff", "   "])
def test_a_file_with_nothing_in_it_is_one_line(text):
    assert fault(text) == f"{FILE}:1:1: the file is empty; a graph is a map with the key steps"


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"a: 1\nb: \xff", "2:4: byte 0xff at offset 8 is not UTF-8; a graph file is text"),
        (b"\xef\xbb\xbfa: \xc3", "1:4: byte 0xc3 at offset 6 is not UTF-8; a graph file is text"),
        ("é: ".encode() + b"\xed\xa0\x80", "1:4: byte 0xed at offset 4 is not UTF-8; a graph file is text"),
        (b"\x80\x04\x95pickle", "1:1: byte 0x80 at offset 0 is not UTF-8; a graph file is text"),
        (b"a: \0", "1:4: character U+0000 at offset 3 is not allowed; is this a text file?"),
        (b"\xef\xbb\xbfa\r\n\xc3\xa9\0", "2:2: character U+0000 at offset 8 is not allowed; is this a text file?"),
        (b"a: '\x07'", '1:5: character U+0007 at offset 4 is not allowed; write "\\u0007" in double quotes'),
        ("a: é\u2028".encode(), '1:5: character U+2028 at offset 5 is not allowed; write "\\u2028" in double quotes'),
        ("a\x85".encode(), '1:2: character U+0085 at offset 1 is not allowed; write "\\u0085" in double quotes'),
        ("a: 1".encode("utf-16"), "1:1: the file is UTF-16 (byte order mark at offset 0); save it as UTF-8"),
        ("a: 1".encode("utf-16-be"), "1:1: character U+0000 at offset 0 is not allowed; is this a text file?"),
    ],
)
def test_bytes_that_are_no_text_are_one_line_with_the_offset(data, expected):
    assert fault(data) == f"{FILE}:{expected}"


@pytest.mark.parametrize(
    ("text", "spot"),
    [
        ("a: 1\n---\nb: 2\n", "2:1"),
        ("---\na: 1\n--- {b: 2}", "3:1"),
        ("a: 1\n...\n---\n", "3:1"),
        ("a: 1\n...\nb: 2\n", "3:1"),
        ("---\n---\na: 1\n", "2:1"),
    ],
)
def test_a_second_document_is_a_fault(text, spot):
    found = fault(text)
    assert found.startswith(f"{FILE}:{spot}: a second YAML document, the first starts at {FILE}:1:1")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("steps:\n\ta: b", "2:1: not YAML: found character '\\t' that cannot start any token; use spaces"),
        ("a: b: c", "1:5: not YAML: mapping values are not allowed here; check the indentation"),
        ("a: 'x", "1:6: not YAML: found unexpected end of stream (while scanning a quoted scalar that starts at "),
        ("a:\n  b: 1\n c: 2", "3:2: not YAML: expected <block end>, but found '<block mapping start>' (while"),
        ("a: [1,\n b: 2", "2:6: not YAML: expected ',' or ']', but got '<stream end>' (while parsing a flow seq"),
        ("a: {b: ${1}}", "1:9: not YAML: expected ',' or '}', but got '{' (while parsing a flow mapping that "),
        ("a: @b", "1:4: not YAML: found character '@' that cannot start any token; quote a text that starts with it"),
        ('a: "\\q"', "1:6: not YAML: found unknown escape character 'q'"),
        ("[], []", "1:3: not YAML: expected '<document start>', but found ','; something is left over"),
        ("%YAML 2.0\n---\na: 1", "1:1: not YAML: found incompatible YAML document"),
        ("a: !u!x y", "1:4: not YAML: found undefined tag handle '!u!'"),
        ('a: "\\UFFFFFFFF"', "1:2: what follows is not YAML: "),
        ("a: !<%25zz> x", "1:2: what follows is not YAML: "),
        ("%YAML " + "1" * 5000 + ".1\n---\na", "1:1: what follows is not YAML: "),
    ],
)
def test_a_syntax_error_is_one_line_where_the_problem_is(text, expected):
    assert fault(text).startswith(f"{FILE}:{expected}")
