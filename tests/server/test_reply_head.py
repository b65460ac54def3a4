"""Heads of replies, as bytes."""

from __future__ import annotations

import re

import pytest

from server.reply_head import Today, reply_head


@pytest.mark.parametrize(
    ("status", "line"), [(200, b"HTTP/1.1 200 OK"), (404, b"HTTP/1.1 404 Not Found"), (499, b"HTTP/1.1 499 ")]
)
def test_a_head_is_its_line_its_fields_and_an_empty_line(status, line):
    head = reply_head(status, [("a", "b"), ("a", "ü")], "date: now\r\n", framing="content-length: 3\r\n")
    assert head == line + b"\r\na: b\r\na: \xfc\r\ncontent-length: 3\r\ndate: now\r\n\r\n"


def test_a_304_has_neither_type_nor_length():
    fields = [("content-type", "a/b"), ("etag", "x")]
    head = reply_head(304, fields, "", framing="content-length: 0\r\nconnection: close\r\n")
    assert head == b"HTTP/1.1 304 Not Modified\r\netag: x\r\nconnection: close\r\n\r\n"


def test_a_204_has_no_length_whoever_tells_it():
    fields = [("content-length", "0"), ("etag", "x")]
    head = reply_head(204, fields, "", framing="content-length: 0\r\nconnection: close\r\n")
    assert head == b"HTTP/1.1 204 No Content\r\netag: x\r\nconnection: close\r\n\r\n"


def test_the_date_is_as_http_has_it():
    line = Today().line()
    assert re.fullmatch(r"date: [A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT\r\n", line)
