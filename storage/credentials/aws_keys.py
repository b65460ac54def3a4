"""How AWS's keys are asked for: of its token service, its sign-in portal, a container's or a machine's server.

Each function blocks, asks once, and gives what obstore takes of a credential provider: keys, and when they expire.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from storage.connection import Connection
from storage.credentials.asking import ask, ask_json, token_in
from storage.credentials.sigv4 import signed
from storage.errors import Denied

if TYPE_CHECKING:
    from obstore.store import S3Credential

_SESSION = "pipeline-serve"
_VERSION = "2011-06-15"
_STS = "the token service of AWS (STS)"
_NAMES = ("AccessKeyId", "SecretAccessKey", "SessionToken", "Expiration")


def of_web_identity(sts: str, file: Path, role: str, session: str | None, how: Connection) -> S3Credential:
    """The keys of a role, by a pod's token (IRSA)."""
    token = token_in(file, "AWS_WEB_IDENTITY_TOKEN_FILE")
    form = {"Action": "AssumeRoleWithWebIdentity", "Version": _VERSION, "RoleArn": role,
            "RoleSessionName": session or _SESSION, "WebIdentityToken": token}  # fmt: skip
    return _of_sts(ask(_STS, "POST", sts, how, data=form))


def of_role(
    sts: str, region: str, own: Mapping[str, str], base: Callable[[], S3Credential], how: Connection
) -> S3Credential:
    """The keys of the role that a profile takes on with the keys that ``base`` gives."""
    form = {"Action": "AssumeRole", "Version": _VERSION, "RoleArn": own["role_arn"],
            "RoleSessionName": own.get("role_session_name") or _SESSION}  # fmt: skip
    body = urlencode({**form, **({"ExternalId": own["external_id"]} if "external_id" in own else {})})
    headers = signed(sts, body, (region, "sts"), base(), datetime.now(UTC))
    return _of_sts(ask(_STS, "POST", sts, how, content=body, headers=headers))


def _of_sts(answer: str) -> S3Credential:
    told = {name: found[1] for name in _NAMES if (found := re.search(rf"<{name}>([^<]+)</{name}>", answer))}
    return _given(_STS, told, *_NAMES)


def of_sign_in(portal: str, name: str, own: Mapping[str, str], home: Path, how: Connection) -> S3Credential:
    """The keys of a role in AWS's IAM Identity Center, by the token that ``aws sso login`` has left."""
    known = hashlib.sha1((own.get("sso_session") or own["sso_start_url"]).encode(), usedforsecurity=False).hexdigest()
    again = f"run aws sso login --profile {name}"
    try:
        told = json.loads((home / ".aws/sso/cache" / f"{known}.json").read_text())
        token, until = str(told["accessToken"]), _time(told["expiresAt"].removesuffix("UTC"))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise Denied(f"nobody is signed in for the AWS profile {name}; {again}") from None
    if until <= datetime.now(UTC):
        raise Denied(f"the sign-in for the AWS profile {name} has expired; {again}")
    who = "the sign-in portal of AWS (SSO)"
    query = {"role_name": own["sso_role_name"], "account_id": own["sso_account_id"]}
    headers = {"x-amz-sso_bearer_token": token}
    answer = ask_json(who, "GET", f"{portal.rstrip('/')}/federation/credentials", how, params=query, headers=headers)
    return _given(who, answer.get("roleCredentials"), "accessKeyId", "secretAccessKey", "sessionToken", "expiration")


def of_container(url: str, token: str | None, file: Path | None, how: Connection) -> S3Credential:
    """The keys of a task's role (ECS) or a pod's (EKS Pod Identity)."""
    if file is not None:
        token = token_in(file, "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE")
    who = "the container's credential server"
    headers = {"authorization": token} if token else {}
    return _given(who, ask_json(who, "GET", url, how, near=True, headers=headers), *_NAMES[:2], "Token", "Expiration")


def of_machine(machine: str, how: Connection) -> S3Credential:
    """The keys of the machine's own role (EC2's metadata, version 2)."""
    who, folder = (
        "no credentials are set, and this machine's metadata",
        f"{machine}/latest/meta-data/iam/security-credentials/",
    )
    ttl = {"x-aws-ec2-metadata-token-ttl-seconds": "21600"}
    headers = {"x-aws-ec2-metadata-token": ask(who, "PUT", f"{machine}/latest/api/token", how, near=True, headers=ttl)}
    role = ask(who, "GET", folder, how, near=True, headers=headers).strip().partition("\n")[0]
    answer = ask_json(who, "GET", f"{folder}{role}", how, near=True, headers=headers)
    return _given(who, answer, *_NAMES[:2], "Token", "Expiration")


def _given(who: str, told: Any, key: str, secret: str, token: str, until: str) -> S3Credential:
    """An answer as obstore takes it. Raises Denied where it has no keys."""
    try:
        return {"access_key_id": told[key], "secret_access_key": told[secret], "token": told[token],
                "expires_at": _time(told[until])}  # fmt: skip
    except (KeyError, TypeError, ValueError, AttributeError):
        raise Denied(f"{who} answered without keys") from None


def _time(told: Any) -> datetime:
    """A time as AWS writes it: ISO 8601, or milliseconds since 1970."""
    match told:
        case int() | float():
            return datetime.fromtimestamp(told / 1000, UTC)
    read = datetime.fromisoformat(told)
    return read if read.tzinfo is not None else read.replace(tzinfo=UTC)
