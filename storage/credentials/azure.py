"""Azure's credentials: the URI's SAS token, a service principal, an identity, a key, a SAS token; by default nobody."""

from __future__ import annotations

import base64
import binascii
import re
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from storage.connection import Connection
from storage.credentials.account import Account, plain
from storage.credentials.asking import ask_json, bearer, token_in
from storage.errors import StorageError
from storage.options import Settings

_AUTHORITY = "https://login.microsoftonline.com"
_RESOURCE = "https://storage.azure.com/"
_MACHINE = "http://169.254.169.254/metadata/identity/oauth2/token"
# RFC 7523, 2.2: a token in the place of a secret.
_ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


def account(sas: str, settings: Settings, how: Connection) -> Account:
    """``sas`` is the URI's query. KServe's ``AZ_*`` are Azure's ``AZURE_*``."""
    if "sig=" in sas:
        return _by_sas(sas, "the SAS token of the URI")
    if settings.says("PIPELINE_SERVE_ANONYMOUS", default=False):
        return Account("nobody in particular (anonymous)")
    tenant, client, secret = (settings.get(f"AZURE_{name}", f"AZ_{name}") for name in _PRINCIPAL)
    federated = settings.get("AZURE_FEDERATED_TOKEN_FILE")
    authority = settings.get("AZURE_AUTHORITY_HOST") or _AUTHORITY
    url = f"{authority if '://' in authority else f'https://{authority}'}".rstrip("/") + f"/{tenant}/oauth2/v2.0/token"
    if tenant and client and secret:
        tried = f"the service principal {client} (AZURE_CLIENT_ID)"
        return Account(tried, partial(of_principal, url, client, secret, how), secrets=(secret,))
    if tenant and client and federated:
        tried = f"the workload identity {client} (AZURE_FEDERATED_TOKEN_FILE)"
        return Account(tried, partial(of_workload, url, client, Path(federated), how))
    if client:
        place = settings.get("IDENTITY_ENDPOINT"), settings.get("IDENTITY_HEADER")
        return Account(f"the managed identity {client} (AZURE_CLIENT_ID)", partial(of_machine, client, place, how))
    if key := settings.get("AZURE_STORAGE_ACCESS_KEY", "AZURE_STORAGE_ACCOUNT_KEY", "AZURE_STORAGE_KEY"):
        try:
            base64.b64decode(key, validate=True)
        except (binascii.Error, ValueError):
            raise StorageError("the account's key (AZURE_STORAGE_ACCESS_KEY) is in base64, and this is not") from None
        return Account(
            "the account's key (AZURE_STORAGE_ACCESS_KEY)",
            lambda: {"access_key": key, "expires_at": None},
            secrets=(key,),
        )
    if own := settings.get("AZURE_STORAGE_SAS_TOKEN", "AZURE_STORAGE_SAS_KEY"):
        return _by_sas(own.lstrip("?"), "the SAS token of AZURE_STORAGE_SAS_TOKEN")
    return Account("nobody in particular: no credentials are set")


_PRINCIPAL = ("TENANT_ID", "CLIENT_ID", "CLIENT_SECRET")


def of_principal(url: str, client: str, secret: str, how: Connection) -> dict[str, Any]:
    """The token of a service principal, by its secret."""
    return _of_authority(url, client, how, client_secret=secret)


def of_workload(url: str, client: str, file: Path, how: Connection) -> dict[str, Any]:
    """The token of a workload identity, by that of its pod."""
    token = token_in(file, "AZURE_FEDERATED_TOKEN_FILE")
    return _of_authority(url, client, how, client_assertion_type=_ASSERTION, client_assertion=token)


def of_machine(client: str, place: tuple[str | None, str | None], how: Connection) -> dict[str, Any]:
    """The token of the machine's managed identity; ``place``: App Service's endpoint, and the header it wants."""
    who, (url, header) = "the machine's managed identity", place
    query = {"api-version": "2019-08-01", "resource": _RESOURCE, "client_id": client}
    headers = {"metadata": "true", **({"x-identity-header": header} if header else {})}
    return bearer(who, ask_json(who, "GET", url or _MACHINE, how, near=True, params=query, headers=headers))


def _of_authority(url: str, client: str, how: Connection, **shown: str) -> dict[str, Any]:
    who = "the token endpoint of the Azure credentials"
    form = {"grant_type": "client_credentials", "client_id": client, "scope": f"{_RESOURCE}.default", **shown}
    return bearer(who, ask_json(who, "POST", url, how, data=form))


def _by_sas(sas: str, tried: str) -> Account:
    """What may not be shown of it: the whole, and its signature in either coding."""
    plain(tried, sas)
    found = re.search(r"sig=([^&]*)", sas)
    secrets = (sas, found[1], unquote(found[1])) if found else (sas,)
    return Account(tried, lambda: {"sas_token": sas, "expires_at": None}, secrets=secrets)
