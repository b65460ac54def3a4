"""``gs://BUCKET/KEY``: Google Cloud Storage, over its XML API."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from storage.connection import RETRIES, connection
from storage.errors import StorageError
from storage.failures import Who
from storage.options import Settings
from storage.source import Remote
from storage.uri import bucket_and_key

if TYPE_CHECKING:
    from obstore.store import GCSConfig, GCSCredential

KEYS = ("gs",)
OPTIONS = {"endpoint": "STORAGE_EMULATOR_HOST", "anonymous": "PIPELINE_SERVE_ANONYMOUS"}
_GOOGLE = "https://storage.googleapis.com"
_METADATA = "metadata.google.internal"
_SET = "set GOOGLE_APPLICATION_CREDENTIALS to a service account's file (JSON)"
# Where `gcloud auth application-default login` leaves it.
_DEFAULT = "application_default_credentials.json"


@dataclass(frozen=True, slots=True)
class Account:
    """Who asks: obstore's settings for it, or what gives its tokens; neither is nobody in particular."""

    tried: str
    config: Mapping[str, Any] = field(default_factory=dict, repr=False)
    token: Callable[[], GCSCredential] | None = field(default=None, repr=False)
    secrets: tuple[str, ...] = field(default=(), repr=False)


def refusal(uri: str) -> str | None:
    bucket, _ = bucket_and_key(uri)
    return None if bucket.strip(".") else f'"{uri}" names no bucket; write gs://BUCKET/PATH'


def open_source(uri: str, settings: Settings) -> Remote:
    """Asks this machine's metadata server for a token where no credentials are set, unless offline."""
    from obstore.store import GCSStore  # noqa: PLC0415  # slow, and `check` downloads nothing

    from storage.objects import Objects  # noqa: PLC0415

    bucket, key = bucket_and_key(uri)
    base = emulator(settings)
    own = account(settings, base)
    config: GCSConfig = {**({"base_url": base} if base else {}), **own.config}  # type: ignore[typeddict-item]
    how = connection(settings, plain=bool(base and base.startswith("http:")))
    if not own.config and own.token is None:
        config["skip_signature"] = True
    store = GCSStore(
        bucket, config=config, client_options=how.options(), retry_config=RETRIES, credential_provider=own.token
    )
    public = f"{base or _GOOGLE}/{bucket}/" if "skip_signature" in config else None
    address = None if public is None else lambda name: public + quote(name)
    return Objects(
        Who("GCS", uri, own.tried, _SET, own.secrets), f"{uri} at {base or 'Google'}", store, key, how, address
    )


def emulator(settings: Settings) -> str | None:
    """``STORAGE_EMULATOR_HOST`` as a URL; None where Google is meant."""
    host = settings.get("STORAGE_EMULATOR_HOST")
    if host is None:
        return None
    return (host if "://" in host else f"http://{host}").rstrip("/")


def account(settings: Settings, emulator: str | None) -> Account:
    """In the order of Google's libraries: the file that is named, gcloud's own, the machine's metadata, nobody.

    An emulator is asked as nobody where no file is named. Raises StorageError for a file that is none of credentials.
    """
    from storage import tokens  # noqa: PLC0415

    if settings.says("PIPELINE_SERVE_ANONYMOUS", default=False):
        return Account("nobody in particular (anonymous)")
    told = settings.get("GOOGLE_APPLICATION_CREDENTIALS")
    if told is not None:
        return _of_file(Path(told), "GOOGLE_APPLICATION_CREDENTIALS")
    if emulator is not None:
        return Account("nobody in particular (STORAGE_EMULATOR_HOST)")
    home = settings.get("CLOUDSDK_CONFIG") or f"{settings.get('HOME') or '/nonexistent'}/.config/gcloud"
    if Path(home, _DEFAULT).is_file():
        return _of_file(Path(home, _DEFAULT), "gcloud")
    host = settings.get("GCE_METADATA_HOST") or _METADATA
    if not settings.offline and not settings.says("NO_GCE_CHECK", default=False) and tokens.has_metadata(host):
        return Account("the machine's service account", token=partial(tokens.of_metadata, host))
    return Account("nobody in particular: no credentials are set")


def _of_file(file: Path, named_by: str) -> Account:
    from storage import tokens  # noqa: PLC0415

    try:
        told = json.loads(file.read_text())
    except OSError as error:
        raise StorageError(f"the Google credentials {file} ({named_by}) cannot be read: {error.strerror}") from None
    except ValueError:
        told = None
    kind = told.get("type") if isinstance(told, dict) else None
    secrets = tuple(
        str(told[name]) for name in ("private_key", "client_secret", "refresh_token") if kind and name in told
    )
    match kind:
        case "service_account":
            tried = f"the service account {told.get('client_email', '')} ({named_by})"
            return Account(tried, {"application_credentials": str(file)}, secrets=secrets)
        case "authorized_user":
            return Account(f"the user of {file} ({named_by})", token=partial(tokens.of_person, told), secrets=secrets)
        case "external_account":
            tried = f"the external account of {file} ({named_by})"
            return Account(tried, token=partial(tokens.of_elsewhere, told), secrets=secrets)
    raise StorageError(
        f"{file} ({named_by}) has no Google credentials of a service account, a user or an external account"
    )
