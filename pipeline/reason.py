"""Why a model is not there, as its callers are told; pure. The log has all of it."""

from __future__ import annotations

import re

from pipeline.errors import InferError, text_of, told
from pipeline.graph.source import GraphFaults
from pipeline.runtimes.catalog import CannotOpen

_LONGEST = 500
# An absolute path, in quotes or between blanks; no URL, whose slashes follow a colon, a slash or a letter.
_QUOTED = re.compile(r"""(["'])(?:file://)?/[^"'\n]*?([^"'/\n]+)/?\1""")
_BARE = re.compile(r"""(?:file://|(?<![\w:/.~-]))/(?:[^\s/"'<>:,;()]+/)*([^\s/"'<>:,;()]+)/?""")


def reason_of(error: Exception) -> str:
    """In one line, without folders of the machine, and without the type of an error whose text is ours."""
    match error:
        case CannotOpen() | GraphFaults() | InferError():
            text = text_of(error)
        case _:
            text = told(error)
    return without_folders(in_one_line(text))


def in_one_line(text: str) -> str:
    """The first line, or the start of it: an author's error may have many."""
    first, *more = text.splitlines() or [""]
    short = first if len(first) <= _LONGEST else f"{first[:_LONGEST]}…"
    return short + (f" (and {len(more)} more lines, in the log)" if more else "")


def without_folders(text: str) -> str:
    """Of each absolute path its last part."""
    return _BARE.sub(r"\1", _QUOTED.sub(r"\1\2\1", text))
