"""A bucket through obstore: how long it wants to be left alone, whoever asks, is what its own header says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from storage.errors import StorageError
from storage.listing import Item
from storage.options import Settings
from storage.schemes import azure, gs, s3
from tests.storage.origin import Fault

ITEM = Item("m.bin", "m.bin", 5)
KEYS = {"AWS_ACCESS_KEY_ID": "AKIAKEY", "AWS_SECRET_ACCESS_KEY": "the-secret"}
AZURE = {"AZURE_STORAGE_ACCOUNT_NAME": "acc"}
SAS = "sv=1&sig=x%2By"


@pytest.mark.parametrize(
    ("scheme", "uri", "variables"),
    [
        (s3, "s3://b/m.bin", {"awsAnonymousCredential": "true"}),
        (s3, "s3://b/m.bin", KEYS),
        (s3, "s3://b/m.bin", {**KEYS, "AWS_SESSION_TOKEN": "token"}),
        (gs, "gs://b/m.bin", {}),
        (azure, "az://b/m.bin", AZURE),
        (azure, "az://b/m.bin", {**AZURE, "AZURE_STORAGE_ACCESS_KEY": "a2V5"}),
        (azure, f"https://acc.blob.core.windows.net/b/m.bin?{SAS}", {}),
    ],
    ids=["S3, nobody", "S3, keys", "S3, session", "GCS, nobody", "Azure, nobody", "Azure, key", "Azure, SAS"],
)
@pytest.mark.parametrize("item", [ITEM, None])
def test_a_busy_bucket_is_asked_when_it_wants_to_be_asked_again(origin, scheme, uri, variables, item):
    where = {"AWS_ENDPOINT_URL": origin.url, "STORAGE_EMULATOR_HOST": origin.url, "AZURE_STORAGE_ENDPOINT": origin.url}
    source = scheme.open_source(uri, Settings({**where, **variables}, Path()))
    origin.decide = lambda seen: Fault(503, headers={"retry-after": "7"})
    assert source.asked_to_wait(item) == 7.0
    (asked,) = origin.seen
    assert (asked.method, asked.path) == ("GET", "/b/m.bin")
    if "sig=" in uri:
        assert SAS in asked.query
    elif "AWS_ACCESS_KEY_ID" in variables:
        assert "X-Amz-Signature=" in asked.query
    origin.decide = lambda seen: Fault(200)
    assert source.asked_to_wait(item) == 0.0


def test_one_that_cannot_sign_is_asked_again_after_our_own_time(origin, tmp_path):
    """A person's token signs no URL."""
    told = {"type": "authorized_user", "refresh_token": "r", "token_uri": f"{origin.url}/token"}
    (tmp_path / "adc.json").write_text(json.dumps(told))
    variables = {"STORAGE_EMULATOR_HOST": origin.url, "GOOGLE_APPLICATION_CREDENTIALS": str(tmp_path / "adc.json")}
    token = json.dumps({"access_token": "t"}).encode()
    origin.decide = lambda seen: Fault(200, body=token) if seen.path == "/token" else Fault(503)
    assert gs.open_source("gs://b/m.bin", Settings(variables, tmp_path)).asked_to_wait(ITEM) == 0.0


@pytest.mark.parametrize(
    ("scheme", "uri", "variables", "says"),
    [
        (
            gs,
            "gs://b/m",
            {"GOOGLE_APPLICATION_CREDENTIALS": "{}/sa.json"},
            "by the service account me@p .*key_id",
        ),
        (azure, "az://b/m", {"AZURE_STORAGE_ACCOUNT_NAME": "a b"}, "by nobody in particular.*: .*domain name"),
    ],
)
def test_what_no_store_can_be_made_of_is_an_error_that_says_so(tmp_path, scheme, uri, variables, says):
    told = {"type": "service_account", "client_email": "me@p", "private_key": "the-key"}
    (tmp_path / "sa.json").write_text(json.dumps(told))
    given = {name: value.format(tmp_path) for name, value in variables.items()}
    with pytest.raises(StorageError, match=rf"resource {uri} cannot be asked {says}.*; set ") as caught:
        scheme.open_source(uri, Settings(given, tmp_path))
    assert "the-key" not in str(caught.value)
