"""Azure's credentials: which of them asks, and tokens of an authority that looks at what it is shown."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import parse_qs

import pytest

from storage import Storage
from storage.connection import Connection
from storage.credentials.azure import account
from storage.errors import Denied, StorageError, Unreachable
from storage.options import Settings
from tests.storage.origin import Fault

TENANT = {"AZURE_TENANT_ID": "t", "AZURE_CLIENT_ID": "c"}


def asks(variables, sas=""):
    return account(sas, Settings(variables, Path()), Connection())


@pytest.mark.parametrize(
    ("sas", "variables", "tried"),
    [
        ("sv=1&sig=s%2Bs", {"AZURE_STORAGE_ACCESS_KEY": "a2V5"}, "the SAS token of the URI"),
        ("", {"PIPELINE_SERVE_ANONYMOUS": "true", "AZURE_STORAGE_ACCESS_KEY": "a2V5"}, "nobody in particular"),
        ("", {"AZ_TENANT_ID": "t", "AZ_CLIENT_ID": "c", "AZ_CLIENT_SECRET": "s"}, "the service principal c"),
        ("", {**TENANT, "AZURE_FEDERATED_TOKEN_FILE": "/f"}, "the workload identity c"),
        ("", {"AZURE_CLIENT_ID": "c"}, "the managed identity c"),
        ("", {"AZURE_STORAGE_ACCESS_KEY": "a2V5", "AZURE_STORAGE_SAS_TOKEN": "sig=x"}, "the account's key"),
        ("", {"AZURE_STORAGE_SAS_TOKEN": "?sv=1&sig=x"}, "the SAS token of AZURE_STORAGE_SAS_TOKEN"),
        ("", {}, "nobody in particular: no credentials are set"),
    ],
)
def test_who_asks(sas, variables, tried):
    who = asks(variables, sas)
    assert who.tried.startswith(tried)
    assert who.nobody is tried.startswith("nobody")


def test_what_is_set_is_given_as_it_is():
    assert asks({}, "sv=1&sig=s%2Bs").credential() == {"sas_token": "sv=1&sig=s%2Bs", "expires_at": None}
    assert asks({"AZURE_STORAGE_SAS_TOKEN": "?sv=1&sig=x"}).credential()["sas_token"] == "sv=1&sig=x"
    assert asks({"AZURE_STORAGE_KEY": "a2V5\r"}).credential() == {"access_key": "a2V5", "expires_at": None}
    assert asks({}, "sv=1&sig=s%2Bs").secrets == ("sv=1&sig=s%2Bs", "s%2Bs", "s+s")


def test_a_key_that_is_none_is_refused_without_repeating_it():
    with pytest.raises(StorageError, match=r"AZURE_STORAGE_ACCESS_KEY\) is in base64, and this is not") as caught:
        asks({"AZURE_STORAGE_ACCESS_KEY": "hush-hush"})
    assert "hush" not in str(caught.value)


@pytest.fixture
def authority(origin, tmp_path):
    """Gives tokens for the right secret, assertion or header, and shows container ``models`` to their bearer alone."""

    def decide(seen):
        form = {name: values[0] for name, values in parse_qs(seen.body.decode() or seen.query).items()}
        match seen.method, seen.path:
            case "POST", "/t/oauth2/v2.0/token":
                good = form["scope"] == "https://storage.azure.com/.default" and (
                    form.get("client_secret") == "good-secret" or form.get("client_assertion") == "of-the-pod"
                )
            case "GET", "/msi":
                good = form["resource"] == "https://storage.azure.com/" and form["client_id"] == "c"
                good = good and seen.headers.get("x-identity-header") == "of-the-app"
            case _:
                return None if seen.headers.get("authorization") == "Bearer good-token" else Fault(403)
        token = {"access_token": "good-token", "expires_in": "3599"}
        return Fault(200, body=json.dumps(token).encode()) if good else Fault(401, body=b"hush-hush")

    origin.decide = decide
    origin.files = {"/models/m.bin": b"model"}
    (tmp_path / "token").write_text("of-the-pod\n")
    return origin


def variables(authority, **more):
    return {"AZURE_STORAGE_ENDPOINT": authority.url, "AZURE_STORAGE_ACCOUNT_NAME": "acc",
            "AZURE_AUTHORITY_HOST": authority.url, **more}  # fmt: skip


@pytest.mark.parametrize(
    "more",
    [
        {**TENANT, "AZURE_CLIENT_SECRET": "good-secret"},
        {**TENANT, "AZURE_FEDERATED_TOKEN_FILE": "{}/token"},
        {"AZURE_CLIENT_ID": "c", "IDENTITY_ENDPOINT": "url/msi", "IDENTITY_HEADER": "of-the-app"},
    ],
    ids=["principal", "workload", "managed"],
)
async def test_a_token_is_asked_for_once_and_a_model_is_read_by_it(authority, tmp_path, more, monkeypatch):
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", "a2V5")  # of the process, and nobody has told us
    told = {name: value.format(tmp_path).replace("url/", f"{authority.url}/") for name, value in more.items()}
    storage = Storage(variables(authority, **told), cache_dir=tmp_path / "cache")
    assert (await storage.fetch("az://models/m.bin", tmp_path)).read_bytes() == b"model"
    assert len([seen for seen in authority.seen if not seen.path.startswith("/models")]) == 1
    storage.cache.close()


async def test_a_refusal_names_the_principal_and_what_to_set_and_repeats_nothing(authority, tmp_path):
    told = variables(authority, **TENANT, AZURE_CLIENT_SECRET="bad-secret")
    says = (r"^Azure resource az://models/m.bin is refused to the service principal c \(AZURE_CLIENT_ID\): "
            "the token endpoint of the Azure credentials gave none: 401 .*; set AZURE_STORAGE_ACCESS_KEY")  # fmt: skip
    with pytest.raises(Denied, match=says) as caught:
        await Storage(told, cache_dir=tmp_path / "cache").fetch("az://models/m.bin", tmp_path)
    assert "hush" not in str(caught.value)
    assert "bad-secret" not in str(caught.value)


def test_an_authority_that_is_busy_is_worth_another_try(authority):
    authority.decide = lambda seen: Fault(503)
    with pytest.raises(Unreachable, match="gave none: 503"):
        asks(variables(authority, **TENANT, AZURE_CLIENT_SECRET="s")).credential()
    unread = asks(variables(authority, **TENANT, AZURE_FEDERATED_TOKEN_FILE="/nonexistent"))
    with pytest.raises(Denied, match=r"/nonexistent \(AZURE_FEDERATED_TOKEN_FILE\) cannot be read"):
        unread.credential()
