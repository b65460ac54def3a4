"""Google's access tokens where object_store gets none: of the metadata server, a person, an identity elsewhere.

Each function blocks, asks once, and gives what obstore takes of a credential provider: the token and when it expires.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx

from storage.errors import Denied, StorageError

if TYPE_CHECKING:
    from obstore.store import GCSCredential

_SCOPE = "https://www.googleapis.com/auth/devstorage.read_only"
_REFRESH = "https://oauth2.googleapis.com/token"
_EXCHANGE = "https://sts.googleapis.com/v1/token"
_TIMEOUT = 15.0
# A machine that has a metadata server has it next door; RFC 8693 is what the rest is.
_NEXT_DOOR = 1.0
_GRANT = "urn:ietf:params:oauth:grant-type:token-exchange"
_ACCESS = "urn:ietf:params:oauth:token-type:access_token"


def of_metadata(host: str, patience: float = _TIMEOUT) -> GCSCredential:
    """The token of the machine's own service account. Raises Denied where there is none."""
    url = f"http://{host}/computeMetadata/v1/instance/service-accounts/default/token"
    asked = {"headers": {"metadata-flavor": "Google"}, "timeout": patience, "trust_env": False}
    return _credential(_json("the metadata server", "GET", url, **asked))


def has_metadata(host: str) -> bool:
    """Whether this machine has a metadata server that gives tokens; answers within two seconds."""
    try:
        of_metadata(host, _NEXT_DOOR)
    except StorageError:
        return False
    return True


def of_person(told: Mapping[str, Any]) -> GCSCredential:
    """By the refresh token of an ``authorized_user`` file."""
    form = {name: str(told.get(name, "")) for name in ("client_id", "client_secret", "refresh_token")}
    url = str(told.get("token_uri") or _REFRESH)
    return _credential(_json("the token endpoint", "POST", url, data={"grant_type": "refresh_token", **form}))


def of_elsewhere(told: Mapping[str, Any]) -> GCSCredential:
    """By exchange of the token of an ``external_account`` file (workload identity federation), from a file or a URL."""
    form = {
        "grant_type": _GRANT, "audience": str(told.get("audience", "")), "scope": _SCOPE,
        "requested_token_type": _ACCESS,
        "subject_token_type": str(told.get("subject_token_type", "")),
        "subject_token": _subject(told.get("credential_source") or {}),
    }  # fmt: skip
    given = _json("the token exchange", "POST", str(told.get("token_url") or _EXCHANGE), data=form)
    url = told.get("service_account_impersonation_url")
    if not url:
        return _credential(given)
    bearer = {"authorization": f"Bearer {given.get('access_token', '')}"}
    own = _json("the service account", "POST", str(url), json={"scope": [_SCOPE]}, headers=bearer)
    return {"token": str(own["accessToken"]), "expires_at": datetime.fromisoformat(str(own["expireTime"]))}


def _subject(source: Mapping[str, Any]) -> str:
    form = source.get("format") or {}
    if "file" in source:
        try:
            text = Path(str(source["file"])).read_text()
        except OSError as error:
            raise Denied(f"the token file {source['file']} cannot be read: {error.strerror}") from None
    elif "url" in source and "environment_id" not in source:
        text = _ask("the identity's server", "GET", str(source["url"]), headers=source.get("headers")).text
    else:
        raise StorageError("external_account credentials are read from a file or a URL; this source is another kind")
    if form.get("type") != "json":
        return text.strip()
    try:
        return str(json.loads(text)[form["subject_token_field_name"]])
    except (ValueError, KeyError, TypeError):
        raise StorageError("the identity's token is not the JSON that its format says") from None


def _credential(given: Mapping[str, Any]) -> GCSCredential:
    try:
        lasts = timedelta(seconds=float(given.get("expires_in", 3600)))
        return {"token": str(given["access_token"]), "expires_at": datetime.now(UTC) + lasts}
    except (KeyError, TypeError, ValueError):
        raise Denied("a token endpoint answered without a token") from None


def _json(who: str, method: str, url: str, **how: Any) -> Mapping[str, Any]:
    try:
        given = _ask(who, method, url, **how).json()
    except ValueError:
        given = None
    if not isinstance(given, dict):
        raise Denied(f"{who} answered with no JSON object")
    return given


def _ask(who: str, method: str, url: str, **how: Any) -> httpx.Response:
    """The answer; what it says where it refuses may hold the token that was sent, and is not repeated."""
    try:
        reply = httpx.request(method, url, **{"timeout": _TIMEOUT, **how})
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise Denied(f"{who} of the Google credentials cannot be reached: {type(error).__name__}") from None
    if not reply.is_success:
        raise Denied(f"{who} of the Google credentials gave no token: {reply.status_code} {reply.reason_phrase}")
    return reply
