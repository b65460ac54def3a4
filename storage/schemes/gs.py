"""``gs://BUCKET/KEY``: Google Cloud Storage, over its XML API."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import quote

from storage.connection import RETRIES, connection
from storage.credentials.account import NOBODY
from storage.credentials.google import account
from storage.failures import Who
from storage.options import Settings
from storage.secret import shown
from storage.source import Remote
from storage.uri import bucket_and_key

if TYPE_CHECKING:
    from obstore.store import GCSConfig, GCSCredential

KEYS = ("gs",)
OPTIONS = {"endpoint": "STORAGE_EMULATOR_HOST", "anonymous": "PIPELINE_SERVE_ANONYMOUS"}
_GOOGLE = "https://storage.googleapis.com"
_SET = "set GOOGLE_APPLICATION_CREDENTIALS to a service account's file (JSON)"


def refusal(uri: str) -> str | None:
    bucket, _ = bucket_and_key(uri)
    return None if bucket.strip(".") else f'"{uri}" names no bucket; write gs://BUCKET/PATH'


def open_source(uri: str, settings: Settings) -> Remote:
    """Asks this machine's metadata server for a token where no credentials are set, unless offline."""
    from obstore.store import GCSStore  # noqa: PLC0415  # slow, and `check` downloads nothing

    from storage.objects import Objects, made  # noqa: PLC0415

    bucket, key = bucket_and_key(uri)
    base = emulator(settings)
    safe = connection(settings, plain=False)
    asks = NOBODY if settings.offline else account(settings, base, safe)
    how = replace(safe, plain=bool(base and base.startswith("http:")))
    config: GCSConfig = {"base_url": base or _GOOGLE, "skip_signature": asks.nobody, **asks.config}  # type: ignore[typeddict-item]
    # Where there is neither, obstore must not look for credentials by itself.
    token = asks.credential or (None if asks.config else _none)
    public = f"{base or _GOOGLE}/{bucket}/" if asks.nobody else None
    address = None if public is None else lambda name: public + quote(name)
    who = Who(
        "GCS", shown(uri), asks.tried, _SET, asks.secrets, "STORAGE_EMULATOR_HOST says where it is" if base else ""
    )
    make = partial(GCSStore, bucket, config=config, client_options=how.options(), retry_config=RETRIES)
    store = made(who, partial(make, credential_provider=token))
    return Objects(who, f"{uri} at {base or 'Google'}", store, key, how, address)


def _none() -> GCSCredential:
    return {"token": "", "expires_at": None}


def emulator(settings: Settings) -> str | None:
    """``STORAGE_EMULATOR_HOST`` as a URL; None where Google is meant."""
    host = settings.get("STORAGE_EMULATOR_HOST")
    if host is None:
        return None
    return (host if "://" in host else f"http://{host}").rstrip("/")
