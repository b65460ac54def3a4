"""Pages as a browser may keep them: with a tag to ask again by, and under a policy that lets them load only our own."""

from __future__ import annotations

import base64
import functools
import hashlib
from collections.abc import Callable, Mapping

from pipeline.wire.codec import Reply

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'{}; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def revalidated(body: bytes, content_type: str, headers: Mapping[str, str], style: str = "") -> Reply:
    """The body, or a 304 to a caller that has it (RFC 9110, 13.1.2). ``style``: the one inline style that it has."""
    tag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    # Weak, since the same body may be sent in another coding.
    kept = {"etag": f"W/{tag}", **_safe(style)}
    known = [word.strip().removeprefix("W/") for word in headers.get("if-none-match", "").split(",")]
    if tag in known or "*" in known:
        return Reply(304, kept)
    return Reply(200, {"content-type": content_type, **kept}, (body,))


def slashless(page: str) -> Callable[[Mapping[str, str]], Reply]:
    """To the page without the slash, where its relative links hold; relative itself, behind whatever prefix."""
    reply = Reply(308, {"location": f"../{page}", **_safe("")})
    return lambda _: reply


@functools.lru_cache(maxsize=8)
def _safe(style: str) -> Mapping[str, str]:
    allowed = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return {
        "content-security-policy": _POLICY.format(f" 'sha256-{allowed}'" if style else ""),
        "x-content-type-options": "nosniff",
        "referrer-policy": "no-referrer",
        # A new version shows at once; what did not change is a 304.
        "cache-control": "no-cache",
    }
