"""Google's credentials, in the order of its libraries: the file that is named, gcloud's own, the machine's, nobody."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from storage.connection import Connection
from storage.credentials.account import Account
from storage.credentials.asking import ask, ask_json, bearer
from storage.errors import Denied, StorageError
from storage.options import Settings

if TYPE_CHECKING:
    from obstore.store import GCSCredential

_SCOPE = "https://www.googleapis.com/auth/devstorage.read_only"
_REFRESH = "https://oauth2.googleapis.com/token"
_EXCHANGE = "https://sts.googleapis.com/v1/token"
_METADATA = "metadata.google.internal"
# RFC 8693.
_GRANT = "urn:ietf:params:oauth:grant-type:token-exchange"
_ACCESS = "urn:ietf:params:oauth:token-type:access_token"
# Where `gcloud auth application-default login` leaves it.
_DEFAULT = "application_default_credentials.json"
_WHO = "the token endpoint of the Google credentials"


def account(settings: Settings, emulator: str | None, how: Connection) -> Account:
    """Asks this machine's metadata server where nothing is set.

    An emulator is asked as nobody where no file is named. Raises StorageError for a file that is none of credentials.
    """
    if settings.says("PIPELINE_SERVE_ANONYMOUS", default=False):
        return Account("nobody in particular (anonymous)")
    told = settings.get("GOOGLE_APPLICATION_CREDENTIALS")
    if told is not None:
        return _of_file(Path(told), "GOOGLE_APPLICATION_CREDENTIALS", how)
    if emulator is not None:
        return Account("nobody in particular (STORAGE_EMULATOR_HOST)")
    home = settings.get("CLOUDSDK_CONFIG") or f"{settings.get('HOME') or '/nonexistent'}/.config/gcloud"
    if Path(home, _DEFAULT).is_file():
        return _of_file(Path(home, _DEFAULT), "gcloud", how)
    host = settings.get("GCE_METADATA_HOST") or _METADATA
    if not settings.says("NO_GCE_CHECK", default=False) and _has_metadata(host, how):
        return Account("the machine's service account", partial(of_metadata, host, how))
    return Account("nobody in particular: no credentials are set")


def of_metadata(host: str, how: Connection) -> GCSCredential:
    """The token of the machine's own service account. Raises Denied where there is none."""
    url = f"http://{host}/computeMetadata/v1/instance/service-accounts/default/token"
    who = "the metadata server of the Google credentials"
    return bearer(who, ask_json(who, "GET", url, how, near=True, headers={"metadata-flavor": "Google"}))  # type: ignore[return-value]


def of_person(told: Mapping[str, Any], how: Connection) -> GCSCredential:
    """By the refresh token of an ``authorized_user`` file."""
    form = {name: str(told.get(name, "")) for name in ("client_id", "client_secret", "refresh_token")}
    url = str(told.get("token_uri") or _REFRESH)
    given = ask_json(_WHO, "POST", url, how, data={"grant_type": "refresh_token", **form})
    return bearer(_WHO, given)  # type: ignore[return-value]


def of_elsewhere(told: Mapping[str, Any], how: Connection) -> GCSCredential:
    """By exchange of the token of an ``external_account`` file (workload identity federation), from a file or a URL."""
    form = {
        "grant_type": _GRANT, "audience": str(told.get("audience", "")), "scope": _SCOPE,
        "requested_token_type": _ACCESS,
        "subject_token_type": str(told.get("subject_token_type", "")),
        "subject_token": _subject(told.get("credential_source") or {}, how),
    }  # fmt: skip
    given: Any = bearer(_WHO, ask_json(_WHO, "POST", str(told.get("token_url") or _EXCHANGE), how, data=form))
    url = told.get("service_account_impersonation_url")
    return _impersonated(str(url), given, how) if url else given


def of_another(told: Mapping[str, Any], how: Connection) -> GCSCredential:
    """The service account that a person's file (``impersonated_service_account``) lets them act as."""
    person = of_person(told["source_credentials"], how)
    return _impersonated(str(told.get("service_account_impersonation_url", "")), person, how)


def _impersonated(url: str, given: GCSCredential, how: Connection) -> GCSCredential:
    who = "the service account of the Google credentials"
    headers = {"authorization": f"Bearer {given['token']}"}
    own = ask_json(who, "POST", url, how, json={"scope": [_SCOPE]}, headers=headers)
    try:
        return {"token": str(own["accessToken"]), "expires_at": datetime.fromisoformat(str(own["expireTime"]))}
    except (KeyError, ValueError):
        raise Denied(f"{who} answered without a token") from None


def _has_metadata(host: str, how: Connection) -> bool:
    """Whether this machine has a metadata server that gives tokens."""
    try:
        of_metadata(host, how)
    except StorageError:
        return False
    return True


def _subject(source: Mapping[str, Any], how: Connection) -> str:
    form = source.get("format") or {}
    if "file" in source:
        try:
            text = Path(str(source["file"])).read_text()
        except OSError as error:
            raise Denied(f"the token file {source['file']} cannot be read: {error.strerror}") from None
    elif "url" in source and "environment_id" not in source:
        text = ask("the identity's server", "GET", str(source["url"]), how, headers=source.get("headers"))
    else:
        raise StorageError("external_account credentials are read from a file or a URL; this source is another kind")
    if form.get("type") != "json":
        return text.strip()
    try:
        return str(json.loads(text)[form["subject_token_field_name"]])
    except (ValueError, KeyError, TypeError):
        raise StorageError("the identity's token is not the JSON that its format says") from None


def _of_file(file: Path, named_by: str, how: Connection) -> Account:
    try:
        told = json.loads(file.read_text())
    except OSError as error:
        raise StorageError(f"the Google credentials {file} ({named_by}) cannot be read: {error.strerror}") from None
    except ValueError:
        told = None
    kinds: dict[str, tuple[str, Callable[[Mapping[str, Any], Connection], GCSCredential]]] = {
        "authorized_user": ("the user", of_person),
        "external_account": ("the external account", of_elsewhere),
        "impersonated_service_account": ("the impersonated service account", of_another),
    }
    match told:
        case {"type": "service_account"}:
            tried = f"the service account {told.get('client_email', '')} ({named_by})"
            return Account(tried, config={"application_credentials": str(file)}, secrets=_secrets(told))
        case {"type": "impersonated_service_account", "source_credentials": {"type": str(source)}} if (
            source != "authorized_user"
        ):
            raise StorageError(f"{file} ({named_by}) acts through a {source}, and only an authorized_user is followed")
        case {"type": str(kind)} if kind in kinds:
            called, token = kinds[kind]
            return Account(f"{called} of {file} ({named_by})", partial(token, told, how), secrets=_secrets(told))
    raise StorageError(
        f"{file} ({named_by}) has no Google credentials of a service account, a user or an external account"
    )


def _secrets(told: Mapping[str, Any]) -> tuple[str, ...]:
    own = tuple(str(told[name]) for name in ("private_key", "client_secret", "refresh_token") if name in told)
    source = told.get("source_credentials")
    return own + (_secrets(source) if isinstance(source, dict) else ())
