"""``s3://BUCKET/KEY``: any S3 endpoint, with the variables of the AWS SDKs and of KServe."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit, urlunsplit

from storage.connection import RETRIES, Connection, connection
from storage.credentials.account import NOBODY
from storage.credentials.aws import SET, account, domain, profile
from storage.errors import StorageError
from storage.failures import Who
from storage.options import Settings
from storage.secret import shown
from storage.source import Remote
from storage.uri import bucket_and_key, malformed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from obstore.store import S3Config

KEYS = ("s3",)
OPTIONS = {"endpoint": "AWS_ENDPOINT_URL", "region": "AWS_DEFAULT_REGION", "anonymous": "awsAnonymousCredential"}
_REGION = "us-east-1"
_REGIONS = re.compile(r"[a-z0-9-]{4,40}")
_PATIENCE = 5.0
# An access point's ARN, or a name by the rules that every endpoint knows; older buckets may have more.
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._\-]{0,254}")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a bucket is. ``virtual``: its name is part of the host already. ``name``: whose it is, in the cache."""

    url: str
    virtual: bool = False
    name: str = "AWS"


def refusal(uri: str) -> str | None:
    bucket, _ = bucket_and_key(uri)
    if "@" in bucket:
        return f'"{uri}" has keys in it; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY instead'
    return None if _BUCKET.fullmatch(bucket) else f'"{uri}" names no bucket; write s3://BUCKET/PATH'


def open_source(uri: str, settings: Settings) -> Remote:
    from obstore.store import S3Store  # noqa: PLC0415  # slow, and `check` downloads nothing

    from storage.objects import Objects, made  # noqa: PLC0415

    bucket, key = bucket_and_key(uri)
    own = {} if settings.offline else profile(settings)
    where, safe = region(settings, own), connection(settings, plain=False)
    place = endpoint(bucket, settings, where or _REGION)
    if where is None:
        where = found_region(bucket, place.url, safe) if place.name == "AWS" and not settings.offline else _REGION
        place = endpoint(bucket, settings, where)
    how = replace(safe, plain=place.url.startswith("http:"), verify=settings.says("S3_VERIFY_SSL", default=True))
    asks = NOBODY if settings.offline else account(settings, own, where, safe)
    # All that obstore would else take from the process's environment is said.
    config: S3Config = {
        "region": where, "endpoint": place.url, "virtual_hosted_style_request": place.virtual,
        "skip_signature": asks.nobody, "request_payer": settings.says("AWS_REQUEST_PAYER", default=False),
    }  # fmt: skip
    address = partial(_address, place, bucket) if asks.nobody else None
    told = "" if place.name == "AWS" else "AWS_ENDPOINT_URL, S3_ENDPOINT and S3_USE_HTTPS say where it is"
    who = Who("S3", shown(uri), asks.tried, SET, asks.secrets, told)
    make = partial(S3Store, bucket, config=config, client_options=how.options(), retry_config=RETRIES)
    store = made(who, partial(make, credential_provider=asks.credential))
    return Objects(who, f"{uri} at {place.name}", store, key, how, address)


def _address(place: Endpoint, bucket: str, key: str) -> str:
    """The URL of an object of a public bucket."""
    return f"{place.url if place.virtual else f'{place.url}/{bucket}'}/{quote(key)}"


def endpoint(bucket: str, settings: Settings, region: str) -> Endpoint:
    """Raises StorageError for what is no endpoint."""
    virtual = settings.says("S3_USER_VIRTUAL_BUCKET", default=False)
    if settings.says("S3_USE_ACCELERATE", default=False):
        url = f"https://{bucket}.s3-accelerate.amazonaws.com"
        return Endpoint(url, virtual=True, name=url)
    told = settings.get("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT", "S3_ENDPOINT") or ""
    if told and "://" not in told:
        told = f"{'https' if settings.says('S3_USE_HTTPS', default=True) else 'http'}://{told}"
    wrong = malformed(told) is not None
    parts = urlsplit("" if wrong else told)
    odd = wrong or parts.query or "@" in parts.netloc or any(letter.isspace() for letter in told)
    # The second is the SDKs' old default, which sends on to the bucket's region.
    if not told or parts.hostname == "s3.amazonaws.com":
        host = f"s3.{region}.{domain(region)}"
        return Endpoint(f"https://{bucket}.{host}" if virtual else f"https://{host}", virtual)
    if parts.scheme not in ("http", "https") or not parts.hostname or odd:
        raise StorageError(
            "the S3 endpoint is http://HOST[:PORT] or https://HOST[:PORT]; look at AWS_ENDPOINT_URL, S3_ENDPOINT"
        )
    host = f"{bucket}.{parts.netloc}" if virtual else parts.netloc
    url = urlunsplit((parts.scheme, host, parts.path.rstrip("/"), "", ""))
    return Endpoint(url, virtual, name=url)


def region(settings: Settings, own: Mapping[str, str]) -> str | None:
    return settings.get("AWS_REGION", "AWS_DEFAULT_REGION", "S3_REGION") or own.get("region")


def found_region(bucket: str, aws: str, how: Connection) -> str:
    """The region that AWS tells everybody of a bucket; the usual one where it does not. boto3 finds it too."""
    import httpx  # noqa: PLC0415  # slow, and most are told the region

    from storage.web import client  # noqa: PLC0415

    try:
        with client(replace(how, connect=_PATIENCE, read=_PATIENCE)) as asking:
            told = asking.head(f"{aws}/{bucket}", follow_redirects=False).headers.get("x-amz-bucket-region", "")
    except httpx.HTTPError:
        told = ""
    return told if _REGIONS.fullmatch(told) else _REGION
