"""AWS's signature of a request that posts a form, for the one service that obstore does not sign for. Pure.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from obstore.store import S3Credential

_WAY = "AWS4-HMAC-SHA256"


def signed(url: str, body: str, place: tuple[str, str], keys: S3Credential, now: datetime) -> Mapping[str, str]:
    """The headers to post that form with; ``place``: (region, service), ``now``: in UTC."""
    region, service = place
    time = now.strftime("%Y%m%dT%H%M%SZ")
    token = keys.get("token")
    headers = {
        "content-type": "application/x-www-form-urlencoded", "host": urlsplit(url).netloc, "x-amz-date": time,
        **({"x-amz-security-token": token} if token else {}),
    }  # fmt: skip
    names = ";".join(headers)
    lines = "".join(f"{name}:{value}\n" for name, value in headers.items())
    canonical = f"POST\n{urlsplit(url).path or '/'}\n\n{lines}\n{names}\n{_hash(body)}"
    scope = f"{time[:8]}/{region}/{service}/aws4_request"
    key = f"AWS4{keys['secret_access_key']}".encode()
    for part in (time[:8], region, service, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.digest(key, f"{_WAY}\n{time}\n{scope}\n{_hash(canonical)}".encode(), "sha256").hex()
    who = f"{_WAY} Credential={keys['access_key_id']}/{scope}"
    return {**headers, "authorization": f"{who}, SignedHeaders={names}, Signature={signature}"}


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
