"""Those who give out keys and tokens. What they say is never repeated in an error: it may hold what they were sent."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from storage.connection import Connection
from storage.errors import Denied, Unreachable
from storage.failures import unmet

# Who lives on this machine or next door is there at once, or not at all.
_NEAR_CONNECT, _NEAR_READ = 1.0, 5.0


def ask(who: str, method: str, url: str, how: Connection, *, near: bool = False, **what: Any) -> str:
    """The text of a good answer. ``near``: no proxy leads there, and silence is a no.

    Raises Unreachable for what is worth another try, Denied for the rest.
    """
    import httpx  # noqa: PLC0415  # slow, and most keys are simply set

    from storage.web import client  # noqa: PLC0415

    near_by = replace(how, connect=_NEAR_CONNECT, read=_NEAR_READ) if near else how
    try:
        with client(near_by, proxies=not near) as asking:
            reply = asking.request(method, url, follow_redirects=False, **what)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        kind = Denied if near or isinstance(error, httpx.InvalidURL) else unmet(str(error))
        raise kind(f"{who} cannot be reached: {type(error).__name__}") from None
    if reply.is_success:
        return reply.text
    kind = Unreachable if reply.is_server_error or reply.status_code == httpx.codes.TOO_MANY_REQUESTS else Denied
    raise kind(f"{who} gave none: {reply.status_code} {reply.reason_phrase}")


def ask_json(who: str, method: str, url: str, how: Connection, *, near: bool = False, **what: Any) -> Mapping[str, Any]:
    """The JSON object of a good answer. Raises as ``ask``."""
    try:
        given = json.loads(ask(who, method, url, how, near=near, **what))
    except ValueError:
        given = None
    if not isinstance(given, dict):
        raise Denied(f"{who} answered with no JSON object")
    return given


def token_in(file: Path, named_by: str) -> str:
    """What a file says now: such files are written anew. Raises Denied where it cannot be read."""
    try:
        return file.read_text().strip()
    except OSError as error:
        raise Denied(f"the token file {file} ({named_by}) cannot be read: {error.strerror}") from None


def bearer(who: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """An OAuth answer (RFC 6749, 5.1) as obstore takes a token. Raises Denied where there is none in it."""
    try:
        lasts = timedelta(seconds=float(given.get("expires_in", 3600)))
        return {"token": str(given["access_token"]), "expires_at": datetime.now(UTC) + lasts}
    except (KeyError, TypeError, ValueError):
        raise Denied(f"{who} answered without a token") from None
