"""Azure blobs: ``https://ACCOUNT.blob.core.windows.net/CONTAINER/PATH``, ``az://CONTAINER/PATH``, ``abfs[s]://``."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote, urlsplit

from storage.connection import RETRIES, connection
from storage.credentials.account import NOBODY
from storage.credentials.azure import account
from storage.errors import StorageError
from storage.failures import Who
from storage.options import Settings
from storage.secret import shown
from storage.source import Remote
from storage.uri import bucket_and_key, scheme_of

if TYPE_CHECKING:
    from obstore.store import AzureConfig

KEYS = ("az", "azure", "abfs", "abfss")
OPTIONS = {"endpoint": "AZURE_STORAGE_ENDPOINT", "anonymous": "PIPELINE_SERVE_ANONYMOUS"}
HOSTS = re.compile(r"[a-z0-9-]+\.(blob\.core\.windows\.net|z[0-9]{1,2}\.blob\.storage\.azure\.net)")
_EMULATED = "devstoreaccount1"
_SET = ("set AZURE_STORAGE_ACCESS_KEY, AZURE_STORAGE_SAS_TOKEN, AZURE_TENANT_ID with AZURE_CLIENT_ID and "
        "AZURE_CLIENT_SECRET, or AZURE_FEDERATED_TOKEN_FILE")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Place:
    """A blob, or a prefix of blobs. ``account`` is "" where the URI does not name it; ``endpoint`` is the account's."""

    account: str
    container: str
    key: str
    endpoint: str = ""
    sas: str = field(default="", repr=False)


def refusal(uri: str) -> str | None:
    own = place(uri)
    if own.container.strip("."):
        return None
    example = (
        "https://ACCOUNT.blob.core.windows.net/CONTAINER/PATH" if scheme_of(uri) == "https" else "az://CONTAINER/PATH"
    )
    return f'"{shown(uri)}" names no container; write {example}'


def open_source(uri: str, settings: Settings) -> Remote:
    """Raises StorageError where nothing names the account."""
    from obstore.store import AzureStore  # noqa: PLC0415  # slow, and `check` downloads nothing

    from storage.objects import Objects, made  # noqa: PLC0415

    own = place(uri)
    name = own.account or settings.get("AZURE_STORAGE_ACCOUNT_NAME", "AZURE_STORAGE_ACCOUNT") or ""
    where = endpoint(settings, name) or own.endpoint
    if not name and settings.get("AZURITE_BLOB_STORAGE_URL"):
        name = _EMULATED
    if not name:
        raise StorageError(f"{shown(uri)} does not say of which account; set AZURE_STORAGE_ACCOUNT_NAME")
    base = where or f"https://{name}.blob.core.windows.net"
    safe = connection(settings, plain=False)
    how = replace(safe, plain=base.startswith("http:"))
    asks = NOBODY if settings.offline else account(own.sas, settings, safe)
    # All that obstore would else take from the process's environment is said.
    config: AzureConfig = {
        "account_name": name, "endpoint": base, "skip_signature": asks.nobody,
        "use_emulator": False, "use_fabric_endpoint": False,
    }  # fmt: skip
    sas = own.sas if "sig=" in own.sas else ""
    address = partial(_address, f"{base}/{own.container}", sas) if sas or asks.nobody else None
    told = "AZURE_STORAGE_ENDPOINT or AZURITE_BLOB_STORAGE_URL says where it is" if where != own.endpoint else ""
    who = Who("Azure", shown(uri), asks.tried, _SET, asks.secrets, told)
    make = partial(AzureStore, own.container, config=config, client_options=how.options(), retry_config=RETRIES)
    store = made(who, partial(make, credential_provider=asks.credential))
    return Objects(who, f"{base}/{own.container}/{own.key}", store, own.key, how, address)


def place(uri: str) -> Place:
    """What the URI names. The query of an https one is a SAS token, its path percent-coded; others are as written."""
    if scheme_of(uri) == "https":
        parts = urlsplit(uri)
        host = parts.netloc.rpartition("@")[2].lower()
        container, _, key = unquote(parts.path).lstrip("/").partition("/")
        plain = host.endswith(".blob.core.windows.net")
        return Place(host.partition(".")[0], container, key, "" if plain else f"https://{host}", parts.query)
    container, key = bucket_and_key(uri)
    name, _, host = container.partition("@")
    return Place(host.partition(".")[0], name, key)


def endpoint(settings: Settings, name: str) -> str:
    """The account's endpoint where a variable names one, else ""; Azurite's has the account in its path."""
    told = settings.get("AZURE_STORAGE_ENDPOINT")
    if told is not None:
        return told.rstrip("/")
    azurite = settings.get("AZURITE_BLOB_STORAGE_URL")
    if azurite is None:
        return ""
    return azurite.rstrip("/") if urlsplit(azurite).path.strip("/") else f"{azurite.rstrip('/')}/{name or _EMULATED}"


def _address(base: str, sas: str, key: str) -> str:
    return f"{base}/{quote(key)}{f'?{sas}' if sas else ''}"
