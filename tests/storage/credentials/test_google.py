"""Google's credentials: which of them asks, and by which token."""

from __future__ import annotations

import json

import pytest

from storage import Storage
from storage.connection import Connection
from storage.credentials.google import account, of_elsewhere, of_person
from storage.errors import Denied, StorageError
from storage.options import Settings
from storage.schemes.gs import open_source
from tests.storage.origin import Fault


def token(text, **more):
    return Fault(status=200, body=json.dumps({"access_token": text, "expires_in": 3600, **more}).encode())


@pytest.fixture
def guarded(origin):
    """Objects of bucket ``b`` are shown to the bearer of ``good`` alone; ``/token`` and the metadata server give it."""

    def decide(seen):
        if seen.path in ("/token", "/computeMetadata/v1/instance/service-accounts/default/token"):
            return token("good-token")
        if seen.path.startswith("/b") and seen.headers.get("authorization") != "Bearer good-token":
            return Fault(status=403)
        return None

    origin.decide = decide
    return origin


async def test_a_person_is_known_by_a_refresh_token(guarded, tmp_path):
    guarded.files = {"/b/m.bin": b"model"}
    file = tmp_path / "adc.json"
    told = {"type": "authorized_user", "client_id": "c", "client_secret": "hush-hush", "refresh_token": "refresh-me",
            "token_uri": f"{guarded.url}/token"}  # fmt: skip
    file.write_text(json.dumps(told))
    variables = {"STORAGE_EMULATOR_HOST": guarded.url, "GOOGLE_APPLICATION_CREDENTIALS": str(file)}
    storage = Storage(variables, cache_dir=tmp_path / "cache")
    assert (await storage.fetch("gs://b/m.bin", tmp_path)).read_bytes() == b"model"
    storage.cache.close()


def test_another_identity_is_exchanged_and_then_taken_for_a_service_account(guarded, tmp_path):
    def decide(seen):
        if seen.path == "/sts":
            return token("federated")
        assert seen.headers.get("authorization") == "Bearer federated"
        body = {"accessToken": "good-token", "expireTime": "2030-01-01T00:00:00Z"}
        return Fault(status=200, body=json.dumps(body).encode())

    guarded.decide = decide
    (tmp_path / "oidc").write_text('{"id_token": "subject"}')
    told = {
        "audience": "//iam", "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "token_url": f"{guarded.url}/sts", "service_account_impersonation_url": f"{guarded.url}/sa:generateAccessToken",
        "credential_source": {"file": str(tmp_path / "oidc"),
                              "format": {"type": "json", "subject_token_field_name": "id_token"}},
    }  # fmt: skip
    given = of_elsewhere(told, Connection())
    assert given["token"] == "good-token"
    assert given["expires_at"].year == 2030
    assert [(seen.method, seen.path) for seen in guarded.seen] == [
        ("POST", "/sts"),
        ("POST", "/sa:generateAccessToken"),
    ]
    assert "subject_token=subject" in guarded.seen[0].body.decode()


def test_an_identity_of_a_url_is_asked_for_with_its_headers(guarded):
    guarded.decide = lambda seen: Fault(status=200, body=b"subject\n") if seen.path == "/oidc" else token("federated")
    source = {"url": f"{guarded.url}/oidc", "headers": {"x-key": "k"}}
    assert (
        of_elsewhere({"token_url": f"{guarded.url}/sts", "credential_source": source}, Connection())["token"]
        == "federated"
    )
    assert guarded.seen[0].headers["x-key"] == "k"
    assert "subject_token=subject&" in guarded.seen[1].body.decode() + "&"


@pytest.mark.parametrize("source", [{}, {"executable": {}}, {"environment_id": "aws1", "url": "http://x"}])
def test_an_identity_of_another_kind_is_refused(source):
    with pytest.raises(StorageError, match="read from a file or a URL"):
        of_elsewhere({"credential_source": source}, Connection())


def test_a_refusal_never_repeats_what_was_sent(guarded):
    guarded.decide = lambda seen: Fault(status=400, body=b'{"error": "hush-hush is wrong"}')
    with pytest.raises(Denied, match="gave none: 400") as caught:
        of_person({"client_secret": "hush-hush", "token_uri": f"{guarded.url}/token"}, Connection())
    assert "hush" not in str(caught.value)
    guarded.decide = lambda seen: Fault(status=200, body=b"[]")
    with pytest.raises(Denied, match="answered with no JSON object"):
        of_person({"token_uri": f"{guarded.url}/token"}, Connection())


def test_the_machines_own_account_is_found_by_its_metadata(guarded, tmp_path):
    guarded.files = {"/b/m.bin": b"model"}
    own = account(Settings({"GCE_METADATA_HOST": guarded.host, "HOME": str(tmp_path)}, tmp_path), None, Connection())
    assert own.tried == "the machine's service account"
    assert own.credential()["token"] == "good-token"
    assert guarded.seen[0].headers["metadata-flavor"] == "Google"


def test_without_metadata_nobody_asks_and_offline_nobody_looks(origin, tmp_path):
    variables = {"GCE_METADATA_HOST": origin.host, "HOME": str(tmp_path)}
    open_source("gs://b/m.bin", Settings(variables, tmp_path, offline=True))
    assert origin.seen == []
    assert account(Settings(variables, tmp_path), None, Connection()).tried.startswith("nobody in particular")
    assert len(origin.seen) == 1


def test_a_service_account_is_obstores_own(tmp_path):
    file = tmp_path / "sa.json"
    file.write_text(json.dumps({"type": "service_account", "client_email": "me@p", "private_key": "the-key"}))
    own = account(Settings({"GOOGLE_APPLICATION_CREDENTIALS": str(file)}, tmp_path), None, Connection())
    assert dict(own.config) == {"application_credentials": str(file)}
    assert own.tried == "the service account me@p (GOOGLE_APPLICATION_CREDENTIALS)"
    assert "the-key" not in repr(own)


def test_gclouds_own_credentials_are_found(tmp_path):
    folder = tmp_path / ".config/gcloud"
    folder.mkdir(parents=True)
    (folder / "application_default_credentials.json").write_text('{"type": "authorized_user", "refresh_token": "r"}')
    assert account(Settings({"HOME": str(tmp_path)}, tmp_path), None, Connection()).tried.startswith("the user of ")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"type": "gdch_service_account", "private_key": "the-key"}'])
def test_a_file_without_credentials_is_refused_without_repeating_it(tmp_path, text):
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(StorageError, match="has no Google credentials") as caught:
        account(Settings({"GOOGLE_APPLICATION_CREDENTIALS": str(tmp_path / "x.json")}, tmp_path), None, Connection())
    assert "the-key" not in str(caught.value)
    with pytest.raises(StorageError, match="cannot be read"):
        account(Settings({"GOOGLE_APPLICATION_CREDENTIALS": str(tmp_path / "gone")}, tmp_path), None, Connection())


async def test_a_person_may_act_as_a_service_account(guarded, tmp_path):
    plain = guarded.decide

    def decide(seen):
        if seen.path == "/token":
            return token("of-the-person")
        if seen.path == "/sa:generateAccessToken":
            good = seen.headers.get("authorization") == "Bearer of-the-person"
            body = json.dumps({"accessToken": "good-token", "expireTime": "2030-01-01T00:00:00Z"}).encode()
            return Fault(200 if good else 403, body=body)
        return plain(seen)

    guarded.decide = decide
    guarded.files = {"/b/m.bin": b"model"}
    person = {"type": "authorized_user", "refresh_token": "refresh-me", "token_uri": f"{guarded.url}/token"}
    told = {"type": "impersonated_service_account", "source_credentials": person,
            "service_account_impersonation_url": f"{guarded.url}/sa:generateAccessToken"}  # fmt: skip
    (tmp_path / "adc.json").write_text(json.dumps(told))
    variables = {"STORAGE_EMULATOR_HOST": guarded.url, "GOOGLE_APPLICATION_CREDENTIALS": str(tmp_path / "adc.json")}
    storage = Storage(variables, cache_dir=tmp_path / "cache")
    assert (await storage.fetch("gs://b/m.bin", tmp_path)).read_bytes() == b"model"
    storage.cache.close()
    person["type"] = "service_account"
    (tmp_path / "adc.json").write_text(json.dumps(told))
    with pytest.raises(StorageError, match="acts through a service_account, and only an authorized_user is followed"):
        account(Settings(variables, tmp_path), None, Connection())
