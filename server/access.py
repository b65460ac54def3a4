"""What is told of a call that ended, and its line in a form of the user's own, by gunicorn's names; pure."""

from __future__ import annotations

from typing import Any

import msgspec

_UNKNOWN = "-"


class Answered(msgspec.Struct, frozen=True):
    """A call ended, at ``when`` of the clock; for the access log and for metrics. ``seconds`` of wall time, ``size`` of
    the reply's body in bytes, ``received`` of the request's.

    ``status`` 499: the client left before its reply. ``whole``: nothing is missing of the body that was begun.
    """

    id: str
    method: str
    path: str
    status: int
    seconds: float
    size: int
    whole: bool = True
    received: int = 0
    when: float = 0.0


class _Atoms(dict[str, Any]):
    """What a form may name. What nobody here knows, and a request's other headers, are a dash, as in gunicorn."""

    def __missing__(self, key: str) -> str:
        return str(self.get(key.lower(), _UNKNOWN)) if key.startswith("{") else _UNKNOWN


def line_form(form: str) -> str:
    """The form, which can be filled in. Raises ValueError where it is none."""
    try:
        written(form, Answered("id", "GET", "/", 200, 0.001, 0))
    except (TypeError, ValueError) as error:
        raise ValueError(f'"{form}" is no form of a line: {error}; write "%(r)s %(s)s"') from None
    return form


def written(form: str, event: Answered) -> str:
    """The line of one call. Its own line break never gets in: method and path are printable."""
    call, ms = f"{event.method} {event.path}", event.seconds * 1e3
    atoms = {
        "m": event.method, "U": event.path, "full_path": event.path, "r": call, "request_line": call,
        "s": event.status, "status_code": event.status, "b": event.size, "B": event.size,
        "L": f"{event.seconds:.6f}", "M": int(ms), "D": int(ms * 1e3), "T": int(event.seconds),
        "{x-request-id}i": event.id, "{x-request-id}o": event.id,
    }  # fmt: skip
    return form % _Atoms(atoms)
