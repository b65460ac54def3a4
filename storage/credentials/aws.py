"""AWS's credentials, in the order of its SDKs: keys, web identity, a profile, the container's role, the machine's."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from storage.connection import Connection
from storage.credentials.account import Account, plain
from storage.credentials.asking import ask, ask_json
from storage.errors import Denied, StorageError
from storage.options import Settings

if TYPE_CHECKING:
    from obstore.store import S3Credential

_MACHINE = "http://169.254.169.254"
_CONTAINER = "http://169.254.170.2"
_SESSION = "pipeline-serve"
_NAMES = ("AccessKeyId", "SecretAccessKey", "SessionToken", "Expiration")


def account(settings: Settings, own: Mapping[str, str], region: str, how: Connection) -> Account:
    """``own`` is the profile. Raises StorageError for half a pair of keys, and for a profile beyond us."""
    if settings.says("awsAnonymousCredential", default=False):
        return Account("nobody in particular (awsAnonymousCredential)")
    key, secret = settings.get("AWS_ACCESS_KEY_ID"), settings.get("AWS_SECRET_ACCESS_KEY")
    if key and secret:
        return _keys(key, secret, settings.get("AWS_SESSION_TOKEN"), f"the access key {key[:4]}… (AWS_ACCESS_KEY_ID)")
    if key or secret:
        raise StorageError("AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY go together, and one of them is not set")
    sts = settings.get("AWS_ENDPOINT_URL_STS") or f"https://sts.{region}.{domain(region)}"
    file, role = settings.get("AWS_WEB_IDENTITY_TOKEN_FILE"), settings.get("AWS_ROLE_ARN")
    if file and role:
        session = settings.get("AWS_ROLE_SESSION_NAME") or _SESSION
        given = partial(of_web_identity, sts, Path(file), role, session, how)
        return Account(f"the role {role} (AWS_WEB_IDENTITY_TOKEN_FILE)", given)
    name = settings.get("AWS_PROFILE") or "default"
    if own:
        found = _of_profile(name, own, sts, settings, how)
        if found is not None:
            return found
    place, relative = (settings.get(f"AWS_CONTAINER_CREDENTIALS_{kind}_URI") for kind in ("FULL", "RELATIVE"))
    if place or relative:
        token = settings.get("AWS_CONTAINER_AUTHORIZATION_TOKEN")
        held = settings.get("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE")
        url = f"{_CONTAINER}{relative}" if relative else str(place)
        given = partial(of_container, url, token, Path(held) if held else None, how)
        return Account("the container's role", given, secrets=(token,) if token else ())
    if settings.says("AWS_EC2_METADATA_DISABLED", default=False):
        raise Denied(f"there are no credentials for S3, and the machine's are not asked for; {SET}")
    machine = settings.get("AWS_EC2_METADATA_SERVICE_ENDPOINT") or _MACHINE
    return Account("the machine's role", partial(of_machine, machine.rstrip("/"), how))


SET = ("set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE, AWS_WEB_IDENTITY_TOKEN_FILE and AWS_ROLE_ARN, "
       "or awsAnonymousCredential=true for a public bucket")  # fmt: skip


def domain(region: str) -> str:
    """Where AWS's endpoints of a region are."""
    return "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"


def _keys(key: str, secret: str, token: str | None, tried: str) -> Account:
    plain(tried, key, secret, token)
    given: S3Credential = {"access_key_id": key, "secret_access_key": secret, "token": token, "expires_at": None}
    return Account(tried, lambda: given, secrets=(secret, *([token] if token else [])))


def _of_profile(name: str, own: Mapping[str, str], sts: str, settings: Settings, how: Connection) -> Account | None:
    """The account of a profile; None for one that only has settings."""
    tried = f"the profile {name}"
    if own.get("web_identity_token_file") and own.get("role_arn"):
        session = own.get("role_session_name") or _SESSION
        file = Path(own["web_identity_token_file"])
        return Account(tried, partial(of_web_identity, sts, file, own["role_arn"], session, how))
    if "role_arn" not in own and own.get("aws_access_key_id") and own.get("aws_secret_access_key"):
        return _keys(own["aws_access_key_id"], own["aws_secret_access_key"], own.get("aws_session_token"), tried)
    if {"sso_account_id", "sso_role_name", "sso_region", "sso_start_url"} <= own.keys():
        home = Path(settings.get("HOME") or "/nonexistent")
        portal = settings.get("AWS_ENDPOINT_URL_SSO") or f"https://portal.sso.{own['sso_region']}.amazonaws.com"
        return Account(f"{tried} (signed in by aws sso login)", partial(of_sign_in, portal, name, own, home, how))
    behind = sorted(word for word in own if word in ("role_arn", "credential_process") or word.startswith("sso_"))
    if behind:
        raise StorageError(f"the AWS profile {name} has {behind[0]}, which is not followed here; run aws configure "
                           f"export-credentials --profile {name} --format env, and set what it prints")  # fmt: skip
    return None


def of_web_identity(sts: str, file: Path, role: str, session: str, how: Connection) -> S3Credential:
    """The keys of a role, by a pod's token (IRSA); that file is written anew now and then."""
    try:
        token = file.read_text().strip()
    except OSError as error:
        raise Denied(f"the token file {file} (AWS_WEB_IDENTITY_TOKEN_FILE) cannot be read: {error.strerror}") from None
    form = {"Action": "AssumeRoleWithWebIdentity", "Version": "2011-06-15", "RoleArn": role,
            "RoleSessionName": session, "WebIdentityToken": token}  # fmt: skip
    who = "the token service of AWS (STS)"
    answer = ask(who, "POST", sts, how, data=form)
    told = {name: found[1] for name in _NAMES if (found := re.search(rf"<{name}>([^<]+)</{name}>", answer))}
    return _given(who, told, *_NAMES)


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
        try:
            token = file.read_text().strip()
        except OSError as error:
            name = "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"
            raise Denied(f"the token file {file} ({name}) cannot be read: {error.strerror}") from None
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


def profile(settings: Settings) -> dict[str, str]:
    """What the shared files say of ``AWS_PROFILE``, or of ``default``, with its sign-in; empty where they do not.

    Raises StorageError where the variable names a profile that they have not.
    """
    import configparser  # noqa: PLC0415  # of no use where keys are set

    home = Path(settings.get("HOME") or "/nonexistent")
    name = settings.get("AWS_PROFILE")
    found: dict[str, str] = {}
    for file, section in (
        (settings.get("AWS_CONFIG_FILE") or home / ".aws/config", f"profile {name}" if name else "default"),
        (settings.get("AWS_SHARED_CREDENTIALS_FILE") or home / ".aws/credentials", name or "default"),
    ):
        read = configparser.RawConfigParser()
        try:
            read.read(file)
        except configparser.Error:
            raise StorageError(f"{file} is no file of AWS profiles") from None
        if read.has_section(section):
            found |= dict(read.items(section))
        session = f"sso-session {found.get('sso_session')}"
        if read.has_section(session):
            found |= dict(read.items(session))
    if name and not found:
        raise StorageError(f"there is no AWS profile {name} (AWS_PROFILE)")
    return found
