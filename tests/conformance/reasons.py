"""Why a reply of ours may differ from KServe's: the reasons, and requests that carry theirs.

A reason is a row of the register of KServe's defects, a line of the design of the protocols under the name of its
section, or the RFC that says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Why:
    """What differs in a reply, and the reason. ``ours``: our status, where that is among it."""

    reason: str
    aspects: frozenset[str]
    ours: int | None = None


@dataclass(frozen=True, slots=True)
class Ask:
    what: str
    method: str
    path: str
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    why: tuple[Why, ...] = ()


def status(ours: int, reason: str, *more: str) -> Why:
    return Why(reason, frozenset({"status", "body", *more}), ours)


def text(reason: str, *more: str) -> Why:
    return Why(reason, frozenset({"body", *more}))


def headers(reason: str, *names: str) -> Why:
    return Why(reason, frozenset(names))


ROUTE = 'Kept exactly: an unknown route, and a wrong method, answer {"error"} too'
IDENTITY = "Kept exactly: values are the truth, our name, version and extensions"
HEAD = "RFC 9110, 9.3.2 and 10.2.1: HEAD is GET without its body, and allow names every method"
SLASH = "a slash at the end is none: no round trip for a redirect that clients of POST do not follow"
PARSER = "RFC 9110, 15.5.6: a method that nobody knows is not allowed; KServe's parser knows a list of them"
ADMISSION = "row 3: model and place are decided before the body is read"
UNHANDLED = "row 4: an unhandled failure is a 500 with a request id, its text goes to the log"
LOADED = "row 7: what kept a model from loading is told of that model"
BAD_INPUT = "row 13: a 400 that names the tensor, what was expected and what came"
TAIL = "row 14: every byte of a binary body is accounted for"
ANY_BYTES = "row 16: BYTES may be any bytes"
BF16 = "row 17: BF16"
WISH = "row 18: the request's wish is the default of its outputs"
TYPED_REPLY = "row 19: a binary reply has a content-type and a content-length"
MEDIA = "row 20: media types are parsed, gzip and deflate decoded, whatever else is read as JSON"
COMPACT = 'row 21: a 400 {"error"} that never repeats the body'
VERSIONS = "row 28: versions"
RAISED = "Errors: an author chooses the status; the text raised on purpose is shown"
NESTING = "Where the specification is silent: data is flat, or nested exactly as shape; nothing is cast"
ONE_FORM = "Where the specification is silent: data together with binary_data_size is a 400"
ONCE = "Where the specification is silent: an output named twice is returned once"
EXPLAIN = "Where the specification is silent: explain over v2"
NUMBERS = "Numbers in JSON: FP16 and NaN are numbers; an FP32 is written as the shortest text that reads back as it"
ROWS = "v1 and tensors: ragged or mixed rows are a 400 that names the first one that differs"
FORMS = "v1 and tensors: a body of neither form is a 400"
COLUMNS = "v1 and tensors: the answer has the form of the request"
UNREAD = "graph.md: a tensor that no step reads is a 400"
NAMES = "a tensor has a name of its own: none, and one that is taken, are a 400"
MARK = "RFC 8259, 8.1: a byte order mark may be read over"
INDEX = "row 28: an index of the repository"
NOWHERE = "Where the specification is silent: loading a model that is nowhere is a 404"
EVENTS = "CloudEvents 1.0: time is optional, what is required and missing is a 400; version 2 reads and writes them too"
THROUGH = "row 9: what a predictor refuses passes through with its status, and no URL"
NOWHERE = "Where the specification is silent: loading a model that is nowhere is a 404"
