"""Azure blobs: ``https://ACCOUNT.blob.core.windows.net/CONTAINER/PATH``, ``az://CONTAINER/PATH``, ``abfs[s]://``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote, urlsplit

from storage.connection import RETRIES, connection
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


@dataclass(frozen=True, slots=True)
class Account:
    """Who asks: obstore's settings for it, how errors call it, and what of it is secret."""

    config: Mapping[str, Any] = field(repr=False)
    tried: str
    secrets: tuple[str, ...] = field(default=(), repr=False)


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

    from storage.objects import Objects  # noqa: PLC0415

    own = place(uri)
    name = own.account or settings.get("AZURE_STORAGE_ACCOUNT_NAME", "AZURE_STORAGE_ACCOUNT") or ""
    where = endpoint(settings, name) or own.endpoint
    if not name and settings.get("AZURITE_BLOB_STORAGE_URL"):
        name = _EMULATED
    if not name:
        raise StorageError(f"{uri} does not say of which account; set AZURE_STORAGE_ACCOUNT_NAME")
    who = account(own, settings)
    how = connection(settings, plain=where.startswith("http:"))
    config: AzureConfig = {"account_name": name, **who.config}  # type: ignore[typeddict-item]
    if where:
        config["endpoint"] = where
    store = AzureStore(own.container, config=config, client_options=how.options(), retry_config=RETRIES)
    base = where or f"https://{name}.blob.core.windows.net"
    sas = who.config.get("sas_key", "")
    unsigned = bool(sas) or "skip_signature" in who.config
    address = partial(_address, f"{base}/{own.container}", str(sas)) if unsigned else None
    told = Who("Azure", shown(uri), who.tried, _SET, who.secrets)
    return Objects(told, f"{base}/{own.container}/{own.key}", store, own.key, how, address)


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


def account(own: Place, settings: Settings) -> Account:
    """The URI's SAS token, a service principal or workload identity, a key, a SAS token, and by default nobody.

    KServe's ``AZ_*`` are Azure's ``AZURE_*``.
    """
    if "sig=" in own.sas:
        return Account({"sas_key": own.sas}, "the SAS token of the URI", _parts_of(own.sas))
    if settings.says("PIPELINE_SERVE_ANONYMOUS", default=False):
        return Account({"skip_signature": True}, "nobody in particular (anonymous)")
    tenant, client, secret = (settings.get(f"AZURE_{name}", f"AZ_{name}") for name in _PRINCIPAL)
    federated = settings.get("AZURE_FEDERATED_TOKEN_FILE")
    authority = settings.get("AZURE_AUTHORITY_HOST")
    more = {"authority_host": authority} if authority else {}
    if tenant and client and secret:
        config = {"tenant_id": tenant, "client_id": client, "client_secret": secret, **more}
        return Account(config, f"the service principal {client} (AZURE_CLIENT_ID)", (secret,))
    if tenant and client and federated:
        config = {"tenant_id": tenant, "client_id": client, "federated_token_file": federated, **more}
        return Account(config, f"the workload identity {client} (AZURE_FEDERATED_TOKEN_FILE)")
    if client:
        return Account({"client_id": client}, f"the managed identity {client} (AZURE_CLIENT_ID)")
    if key := settings.get("AZURE_STORAGE_ACCESS_KEY", "AZURE_STORAGE_ACCOUNT_KEY", "AZURE_STORAGE_KEY"):
        return Account({"account_key": key}, "the account's key (AZURE_STORAGE_ACCESS_KEY)", (key,))
    if sas := settings.get("AZURE_STORAGE_SAS_TOKEN", "AZURE_STORAGE_SAS_KEY"):
        return Account({"sas_key": sas.lstrip("?")}, "the SAS token of AZURE_STORAGE_SAS_TOKEN", _parts_of(sas))
    return Account({"skip_signature": True}, "nobody in particular: no credentials are set")


_PRINCIPAL = ("TENANT_ID", "CLIENT_ID", "CLIENT_SECRET")


def _parts_of(sas: str) -> tuple[str, ...]:
    """What may not be shown of a SAS token: the whole, and its signature in either coding."""
    found = re.search(r"sig=([^&]*)", sas)
    return (sas, found[1], unquote(found[1])) if found else (sas,)


def _address(base: str, sas: str, key: str) -> str:
    return f"{base}/{quote(key)}{f'?{sas}' if sas else ''}"
