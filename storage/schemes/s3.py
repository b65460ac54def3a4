"""``s3://BUCKET/KEY``: any S3 endpoint, with the variables of the AWS SDKs and of KServe."""

from __future__ import annotations

import configparser
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit, urlunsplit

from storage.connection import RETRIES, connection
from storage.errors import StorageError
from storage.failures import Who
from storage.options import Settings
from storage.source import Remote
from storage.uri import bucket_and_key

if TYPE_CHECKING:
    from obstore.store import S3Config

KEYS = ("s3",)
OPTIONS = {"endpoint": "AWS_ENDPOINT_URL", "region": "AWS_DEFAULT_REGION", "anonymous": "awsAnonymousCredential"}
_REGION = "us-east-1"
# An access point's ARN, or a name by the rules that every endpoint knows; older buckets may have more.
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._\-]{0,254}")
_SET = ("set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE, AWS_WEB_IDENTITY_TOKEN_FILE and AWS_ROLE_ARN, "
        "or awsAnonymousCredential=true for a public bucket")  # fmt: skip
_INSTANCE = {
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "container_credentials_relative_uri",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI": "container_credentials_full_uri",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": "container_authorization_token_file",
}


@dataclass(frozen=True, slots=True)
class Account:
    """Who asks: obstore's settings for it, how errors call it, and what of it is secret."""

    config: Mapping[str, Any] = field(repr=False)
    tried: str
    secrets: tuple[str, ...] = field(default=(), repr=False)


def refusal(uri: str) -> str | None:
    bucket, _ = bucket_and_key(uri)
    return None if _BUCKET.fullmatch(bucket) else f'"{uri}" names no bucket; write s3://BUCKET/PATH'


def open_source(uri: str, settings: Settings) -> Remote:
    from obstore.store import S3Store  # noqa: PLC0415  # slow, and `check` downloads nothing

    from storage.objects import Objects  # noqa: PLC0415

    bucket, key = bucket_and_key(uri)
    own = account(settings, profile(settings))
    place = endpoint(bucket, settings)
    how = connection(settings, plain=str(place.get("endpoint", "")).startswith("http:"))
    config: S3Config = {"region": region(settings, profile(settings)), **place, **own.config}  # type: ignore[typeddict-item]
    if settings.says("AWS_REQUEST_PAYER", default=False):
        config["request_payer"] = True
    store = S3Store(bucket, config=config, client_options=how.options(), retry_config=RETRIES)
    who = Who("S3", uri, own.tried, _SET, own.secrets)
    address = partial(_address, bucket, place, str(config["region"])) if "skip_signature" in own.config else None
    return Objects(who, f"{uri} at {place.get('endpoint', 'AWS')}", store, key, how, address)


def _address(bucket: str, place: Mapping[str, Any], where: str, key: str) -> str:
    """The URL of an object of a public bucket."""
    base = place.get("endpoint", f"https://s3.{where}.amazonaws.com")
    named = base if place.get("virtual_hosted_style_request") and "endpoint" in place else f"{base}/{bucket}"
    return f"{named}/{quote(key)}"


def endpoint(bucket: str, settings: Settings) -> dict[str, Any]:
    """Where the bucket is and whether its name is part of the host. Raises StorageError for what is no endpoint."""
    if settings.says("S3_USE_ACCELERATE", default=False):
        return {"endpoint": f"https://{bucket}.s3-accelerate.amazonaws.com", "virtual_hosted_style_request": True}
    told = settings.get("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT", "S3_ENDPOINT")
    virtual = settings.says("S3_USER_VIRTUAL_BUCKET", default=False)
    if told is None:
        return {"virtual_hosted_style_request": True} if virtual else {}
    if "://" not in told:
        told = f"{'https' if settings.says('S3_USE_HTTPS', default=True) else 'http'}://{told}"
    parts = urlsplit(told)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or "@" in parts.netloc:
        raise StorageError(
            "the S3 endpoint is http://HOST[:PORT] or https://HOST[:PORT]; look at AWS_ENDPOINT_URL, S3_ENDPOINT"
        )
    if parts.hostname == "s3.amazonaws.com":
        return {"virtual_hosted_style_request": True} if virtual else {}  # the SDKs' old default: the region tells
    host = f"{bucket}.{parts.netloc}" if virtual else parts.netloc
    where = urlunsplit((parts.scheme, host, parts.path.rstrip("/"), "", ""))
    return {"endpoint": where, "virtual_hosted_style_request": virtual}


def region(settings: Settings, own: Mapping[str, str]) -> str:
    return settings.get("AWS_REGION", "AWS_DEFAULT_REGION", "S3_REGION") or own.get("region") or _REGION


def account(settings: Settings, own: Mapping[str, str]) -> Account:
    """In the order of the AWS SDKs: keys, web identity, profile, container, and last the machine's own role.

    ``own`` is the profile. Raises StorageError for a profile that needs a browser or a program.
    """
    if settings.says("awsAnonymousCredential", default=False):
        return Account({"skip_signature": True}, "nobody in particular (awsAnonymousCredential)")
    key, secret = settings.get("AWS_ACCESS_KEY_ID"), settings.get("AWS_SECRET_ACCESS_KEY")
    if key and secret and not settings.get("AWS_PROFILE"):
        return _keys(key, secret, settings.get("AWS_SESSION_TOKEN"), f"the access key {key[:4]}… (AWS_ACCESS_KEY_ID)")
    file, role = settings.get("AWS_WEB_IDENTITY_TOKEN_FILE"), settings.get("AWS_ROLE_ARN")
    if file and role:
        session = settings.get("AWS_ROLE_SESSION_NAME") or "pipeline-serve"
        config = {"web_identity_token_file": file, "role_arn": role, "role_session_name": session}
        if sts := settings.get("AWS_ENDPOINT_URL_STS"):
            config["endpoint_url_sts"] = sts
        return Account(config, f"the role {role} (AWS_WEB_IDENTITY_TOKEN_FILE)")
    name = settings.get("AWS_PROFILE") or "default"
    if own.get("aws_access_key_id") and own.get("aws_secret_access_key"):
        pair = own["aws_access_key_id"], own["aws_secret_access_key"]
        return _keys(*pair, own.get("aws_session_token"), f"the profile {name}")
    if any(word.startswith("sso_") or word == "credential_process" for word in own):
        raise StorageError(f"the AWS profile {name} needs a sign-in or a program; run aws configure export-credentials "
                           f"--profile {name} --format env, and set what it prints")  # fmt: skip
    container = {ours: value for theirs, ours in _INSTANCE.items() if (value := settings.get(theirs))}
    if container:
        return Account(container, "the container's role")
    return Account({}, "the machine's role")


def _keys(key: str, secret: str, token: str | None, tried: str) -> Account:
    config = {"access_key_id": key, "secret_access_key": secret, **({"session_token": token} if token else {})}
    return Account(config, tried, (secret, *([token] if token else [])))


def profile(settings: Settings) -> dict[str, str]:
    """What the shared files say of ``AWS_PROFILE``, or of ``default``; empty where they do not.

    Raises StorageError where the variable names a profile that they have not.
    """
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
    if name and not found:
        raise StorageError(f"there is no AWS profile {name} (AWS_PROFILE)")
    return found
