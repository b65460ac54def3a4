"""What a call carries that no log line shows, though the server it was sent to repeats it; pure."""

from __future__ import annotations

import base64
import re
from collections.abc import Collection, Iterator, Mapping
from urllib.parse import unquote, urlsplit

_HIDDEN = "[hidden]"
# A header of any other name may hold one too: those that come by these names do.
_CREDENTIALS = re.compile(r"auth|cookie|credential|key|pass|secret|session|sign|token")
_KEEPS_PLACE = "\0"


def secrets_of(base: str, headers: Mapping[str, str]) -> frozenset[str]:
    """Those of a call with these headers (names in lower case) to that URL, whose user and password go along."""
    return frozenset(filter(None, [*_of_url(base), *(part for name in headers for part in _of(name, headers[name]))]))


def _of_url(base: str) -> Iterator[str]:
    url = urlsplit(base)
    if url.username is not None:
        user, password = unquote(url.username), unquote(url.password or "")
        yield from (password, url.password or "", base64.b64encode(f"{user}:{password}".encode()).decode())


def _of(name: str, text: str) -> Iterator[str]:
    if not _CREDENTIALS.search(name):
        return
    if name == "cookie":
        yield from (part.partition("=")[2].strip() for part in text.split(";"))
        return
    # The scheme, as in "Bearer …", is none.
    scheme, _, token = text.partition(" ")
    yield token.strip() or scheme
    if scheme.lower() == "basic":
        try:
            yield base64.b64decode(token).decode().partition(":")[2]
        except ValueError:
            return


def concealed(text: str, secrets: Collection[str], most: int | None = None) -> str:
    """The text, or the start of it, on one line and without them: each is hidden whole, also where ``most`` cuts it."""
    text = text.replace(_KEEPS_PLACE, "\N{REPLACEMENT CHARACTER}")
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, _KEEPS_PLACE * len(secret))
    shown = re.sub(f"{_KEEPS_PLACE}+", _HIDDEN, " ".join(text[:most].split()))
    return f"{shown}…" if most is not None and len(text) > most else shown
