"""Bytes → YAML events, one at a time; whatever else the bytes are is one line with its position.

The only file that knows the parser's mistakes and its wording. It does not know what events mean to a graph.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from types import MappingProxyType

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError
from ruamel.yaml.events import Event, ScalarEvent

from pipeline.graph.scalars import shown

# A graph of 200 steps is 20 KiB; the parser needs seconds for a MiB, and nobody wrote one by hand.
MAX_BYTES = 1024 * 1024

_BOM = b"\xef\xbb\xbf"
# Outside YAML's printable set (YAML 1.2.2, section 5.1), and the three that 1.1 takes for line breaks and 1.2 does not:
# the parser folds them away, so they are refused rather than lost.
_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufffe\uffff]")
# What the parser raises on some texts that are not YAML: a \U escape past Unicode, a bad % in a tag, a version of 5,000
# digits. A user gets a line for those too, never a traceback.
_PARSER_SLIPS = (ArithmeticError, AssertionError, AttributeError, LookupError, TypeError, ValueError)
# The parser's words → what to do about them; the first that fits is said.
_WAYS_OUT = (
    ("found character '\\t'", "use spaces: YAML cannot be indented with tabs"),
    ("found character", "quote a text that starts with it"),
    ("mapping values are not allowed here", 'check the indentation, and quote a text that holds ": "'),
    ("expected <block end>", "check the indentation of this line"),
    ("expected '<document start>'", "something is left over after the document; check brackets and indentation"),
    ("could not find expected ':'", "a key is followed by a colon and a space"),
    ("found unexpected end of stream", "a quote is not closed"),
    ("found unexpected document separator", "a quote is not closed"),
    ("found unknown escape character", "in double quotes a backslash is written twice"),
)

# In [ ] and { } a bare ${NAME:-default} would end at its own brace. Its marks of structure are covered with characters
# from private use, one for one, so that places stay true, and uncovered in the values that come out. Not where a file
# writes such a character itself, or as an escape: there a bare ${ in [ ] or { } is a fault, and nothing is mistaken.
_VARIABLE = re.compile(r"\$\{[A-Za-z_][A-Za-z0-9_]*(?::-[^}\r\n]{0,1024}+)?\}")
_TAKEN = re.compile("[\U0010ff00-\U0010ff06]|10ff0[0-6]", re.IGNORECASE)
_COVER = MappingProxyType({ord(mark): 0x10FF00 + number for number, mark in enumerate("{}[],:#")})
_UNCOVER = MappingProxyType({cover: mark for mark, cover in _COVER.items()})


class Unreadable(Exception):
    """What comes after this spot (line and column in characters, from 1) cannot be read."""

    def __init__(self, line: int, column: int, message: str) -> None:
        super().__init__(line, column, message)
        self.line = line
        self.column = column
        self.message = message


def events(data: bytes, file: str) -> Iterator[Event]:
    """The events of UTF-8 bytes, with or without byte order mark. ``file`` is only named in messages.

    Raises ``Unreadable`` where the bytes are too many, not text, or not YAML.
    """
    text = _text(data)
    cover = "${" in text and not _TAKEN.search(text)
    covered = _VARIABLE.sub(lambda found: found[0].translate(_COVER), text) if cover else text
    line = column = 1
    try:
        for event in YAML(typ="safe", pure=True).parse(covered):
            line, column = event.end_mark.line + 1, event.end_mark.column + 1
            if cover and isinstance(event, ScalarEvent):
                event.value = event.value.translate(_UNCOVER)
            yield event
    except MarkedYAMLError as error:
        raise _syntax(error, text, file) from None
    except _PARSER_SLIPS as error:
        raise Unreadable(line, column, f"what follows is not YAML: {shown(str(error))}") from error


def _text(data: bytes) -> str:
    if len(data) > MAX_BYTES:
        raise Unreadable(1, 1, f"the file is too large; a graph file has {MAX_BYTES:,} bytes at most")
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise Unreadable(1, 1, "the file is UTF-16 (byte order mark at offset 0); save it as UTF-8")
    body = data.removeprefix(_BOM)
    shift = len(data) - len(body)
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        what = f"byte 0x{body[error.start]:02x} at offset {error.start + shift} is not UTF-8"
        raise Unreadable(*_end(body[: error.start].decode()), f"{what}; a graph file is text") from None
    if found := _FORBIDDEN.search(text):
        before = text[: found.start()]
        what = f"character U+{ord(found[0]):04X} at offset {len(before.encode()) + shift} is not allowed"
        way_out = "is this a text file?" if found[0] == "\0" else f'write "\\u{ord(found[0]):04x}" in double quotes'
        raise Unreadable(*_end(before), f"{what}; {way_out}")
    return text


def _end(before: str) -> tuple[int, int]:
    lines = before.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return len(lines), len(lines[-1]) + 1


def _syntax(error: MarkedYAMLError, text: str, file: str) -> Unreadable:
    mark = error.problem_mark or error.context_mark
    context = error.context_mark
    # The parser names some tokens as one-tuples, ('<scalar>',).
    problem = re.sub(r"\(('.*?'),\)", r"\1", str(error.problem or error.context))
    message = f"not YAML: {problem}"
    if context and (context.line, context.column) != (mark.line, mark.column):
        message += f" ({error.context} that starts at {file}:{context.line + 1}:{context.column + 1})"
    if text[max(mark.index - 1, 0) : mark.index + 1] == "${":
        message += "; quote what starts with this ${"
    else:
        message += next((f"; {way_out}" for words, way_out in _WAYS_OUT if problem.startswith(words)), "")
    return Unreadable(mark.line + 1, mark.column + 1, shown(message, most=len(message)))
