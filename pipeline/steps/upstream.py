"""What goes wrong between a ``call`` step and its server, as its own caller is told it; pure.

The status of a refusal passes through. The words are ours: the server's URL, its body and the reason are internals, for
the log alone, and there without ``secrets``: what the call carried that is for its server only. They call the server
``whom``. A model's predictor is asked in the model's place, so its refusals are in its own words.
"""

from __future__ import annotations

import re
from collections.abc import Collection

from pipeline.errors import Code, InferError, WrongAnswer, retold
from pipeline.steps.secrets import concealed
from pipeline.tensors.message import Command
from pipeline.wire.codec import Call, Reply
from pipeline.wire.statuses import STATUS, error_of, said

# Bytes of a body, letters of a text of the server's, that a log line shows.
_SHOWN = 500
INPUT_REFUSED = (400, 422)
"""What says that the inputs themselves are wrong."""
_URL = re.compile(r"\b[a-zA-Z][\w+.-]*://\S+")
_PASSED = (STATUS[Code.UNAVAILABLE], STATUS[Code.DEADLINE_EXCEEDED])


def called_by(step: str) -> str:
    """The server of a ``call`` step, as ``whom`` below."""
    return f'step "{step}": the server that it calls'


def lost(whom: str, error: InferError, secrets: Collection[str]) -> InferError:
    """No reply came, or none that HTTP knows: 502. ``error`` is the exchange's own."""
    if error.code is Code.CANCELLED:
        told = f"{whom} was left while it was asked: what asked it is closed"
        return InferError(Code.UNAVAILABLE, told, internals=error.message)
    told = f"{whom} gave no answer that can be used"
    return InferError(Code.BAD_UPSTREAM, told, internals=concealed(error.message, secrets))


def unreadable(
    whom: str, error: InferError, url: str, call: Call, reply: Reply, secrets: Collection[str]
) -> InferError:
    """A reply that is no answer of the protocol: 502. ``error`` is the codec's."""
    told = f"{whom} gave an answer that cannot be read"
    reason = f"{concealed(error.message, secrets)}: {_shown(reply, secrets)}"
    internals = f"{call.method} {url}{call.path} was answered {reply.status}, {reason}"
    return InferError(Code.BAD_UPSTREAM, told, internals=internals)


def refused(whom: str, url: str, call: Call, reply: Reply, command: Command, secrets: Collection[str]) -> InferError:
    """A reply of 400 or more, of the class that says whose fault it is.

    4xx, 503 (with its ``retry-after``) and 504 as they are; any other is the server's own failure, and 502 for who is
    in front of it.
    """
    status = reply.status
    told = f"{whom} answered {status}"
    internals = f"{call.method} {url}{call.path} was answered {status}: {_shown(reply, secrets)}"
    if status >= 500 and status not in _PASSED:
        return InferError(Code.BAD_UPSTREAM, told, internals=internals)
    meant = error_of(status, told, reply.headers, command)
    return retold(type(meant), meant.code, told, status=status, headers=meant.headers, internals=internals)


def in_its_words(error: InferError, url: str, reply: Reply, secrets: Collection[str]) -> InferError:
    """The same, of a model that stands in front of its predictor: that one's own ``{"error"}`` is what a caller reads.

    In one line of so many letters, without a URL or an address; of a failure (500 and above, but 503) nothing.
    """
    passes = reply.status < 500 or reply.status == STATUS[Code.UNAVAILABLE]
    text = (said(reply) or "") if passes else ""
    address = url.partition("://")[2].rpartition("@")[2].rstrip("/")
    told = concealed(_URL.sub("…", concealed(text, secrets)).replace(address, "…"), (), _SHOWN)
    if not told:
        return error
    internals = f"{error.message}: {error.internals}"
    return retold(type(error), error.code, told, status=error.status, headers=error.headers, internals=internals)


def refused_step(caller: str, error: InferError) -> InferError:
    """The same, of inputs that a step of ours made, which called this one: its author's fault."""
    told = f'{error.message}, and its inputs were made by step "{caller}"'
    return retold(WrongAnswer, Code.INTERNAL, told, internals=error.internals)


def unready(url: str, call: Call, error: InferError, secrets: Collection[str]) -> str:
    """Why a question about readiness was answered with no, on one line: the reason is the server's own text."""
    reason = concealed(error.message, secrets, _SHOWN)
    return reason if url in reason else f"{url}{call.path}: {reason}"


def _shown(reply: Reply, secrets: Collection[str]) -> str:
    """The start of its body, on one line. A server may repeat what it was sent."""
    # So much of it that a secret which begins in what is shown is there as a whole.
    enough = _SHOWN + 1 + max((len(secret.encode()) for secret in secrets), default=0)
    body = b"".join(bytes(part[:enough]) for part in reply.body)[:enough]
    letters = len(body[:_SHOWN].decode(errors="replace"))
    return concealed(body.decode(errors="replace"), secrets, letters) or "(nothing)"
