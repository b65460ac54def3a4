"""``s3://``: who asks and where by the variables of AWS and KServe, and all of it against moto's server."""

from __future__ import annotations

import json
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import obstore
import pytest
from obstore.store import S3Store

from storage import Storage
from storage.errors import Denied, NotThere, StorageError
from storage.listing import Item
from storage.options import Settings
from storage.schemes.s3 import account, endpoint, open_source, profile, refusal, region
from tests.peers import environment
from tests.storage.test_fetch import BIG

KEYS = {"AWS_ACCESS_KEY_ID": "AKIAKEY", "AWS_SECRET_ACCESS_KEY": "the-secret"}


def settings(**variables):
    return Settings(variables, Path())


@pytest.mark.parametrize(
    ("variables", "where"),
    [
        ({}, {}),
        ({"AWS_ENDPOINT_URL": "http://h:9000/"}, {"endpoint": "http://h:9000", "virtual_hosted_style_request": False}),
        (
            {"AWS_ENDPOINT_URL": "http://no", "AWS_ENDPOINT_URL_S3": "https://h"},
            {"endpoint": "https://h", "virtual_hosted_style_request": False},
        ),
        ({"S3_ENDPOINT": "minio:9000"}, {"endpoint": "https://minio:9000", "virtual_hosted_style_request": False}),
        (
            {"S3_ENDPOINT": "minio:9000", "S3_USE_HTTPS": "0"},
            {"endpoint": "http://minio:9000", "virtual_hosted_style_request": False},
        ),
        (
            {"AWS_ENDPOINT_URL": "http://h:9000", "S3_USER_VIRTUAL_BUCKET": "true"},
            {"endpoint": "http://bkt.h:9000", "virtual_hosted_style_request": True},
        ),
        ({"AWS_ENDPOINT_URL": "https://s3.amazonaws.com"}, {}),
        (
            {"S3_USE_ACCELERATE": "true"},
            {"endpoint": "https://bkt.s3-accelerate.amazonaws.com", "virtual_hosted_style_request": True},
        ),
    ],
)
def test_where_a_bucket_is(variables, where):
    assert endpoint("bkt", settings(**variables)) == where


@pytest.mark.parametrize("told", ["ftp://h", "http://user:hunter2@h", "http://h?x=hunter2", "http://"])
def test_an_endpoint_that_is_none_is_refused_without_repeating_it(told):
    with pytest.raises(StorageError, match="the S3 endpoint is http://HOST") as caught:
        endpoint("bkt", settings(AWS_ENDPOINT_URL=told))
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("variables", "own", "config", "tried"),
    [
        ({"awsAnonymousCredential": "true", **KEYS}, {}, {"skip_signature": True}, "nobody in particular"),
        (KEYS, {}, {"access_key_id": "AKIAKEY", "secret_access_key": "the-secret"}, "the access key AKIA…"),
        (
            {**KEYS, "AWS_SESSION_TOKEN": "token", "AWS_WEB_IDENTITY_TOKEN_FILE": "/t", "AWS_ROLE_ARN": "arn:r"},
            {},
            {"access_key_id": "AKIAKEY", "secret_access_key": "the-secret", "session_token": "token"},
            "the access key",
        ),
        (
            {"AWS_WEB_IDENTITY_TOKEN_FILE": "/t", "AWS_ROLE_ARN": "arn:r", "AWS_ENDPOINT_URL_STS": "https://sts"},
            {"aws_access_key_id": "no", "aws_secret_access_key": "no"},
            {"web_identity_token_file": "/t", "role_arn": "arn:r", "role_session_name": "pipeline-serve",
             "endpoint_url_sts": "https://sts"},
            "the role arn:r",
        ),
        (
            {"AWS_PROFILE": "dev", **KEYS},
            {"aws_access_key_id": "PROFILE", "aws_secret_access_key": "its-secret"},
            {"access_key_id": "PROFILE", "secret_access_key": "its-secret"},
            "the profile dev",
        ),
        (
            {"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://169.254.170.23/v1",
             "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": "/t"},
            {},
            {"container_credentials_full_uri": "http://169.254.170.23/v1", "container_authorization_token_file": "/t"},
            "the container's role",
        ),
        ({}, {}, {}, "the machine's role"),
    ],
)  # fmt: skip
def test_who_asks_in_the_order_of_the_sdks(variables, own, config, tried):
    who = account(settings(**variables), own)
    assert dict(who.config) == config
    assert who.tried.startswith(tried)
    assert not any(secret in repr(who) for secret in ("the-secret", "its-secret", "token'"))


def test_a_profile_that_needs_a_browser_says_how_to_go_on():
    with pytest.raises(StorageError, match="aws configure export-credentials --profile dev --format env"):
        account(settings(AWS_PROFILE="dev"), {"sso_session": "x"})


def test_profiles_are_read_from_both_files(tmp_path):
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws/config").write_text("[default]\nregion = eu-west-1\n[profile dev]\nregion = eu-north-1\n")
    (tmp_path / ".aws/credentials").write_text("[dev]\naws_access_key_id = K\naws_secret_access_key = s%3\n")
    home = {"HOME": str(tmp_path)}
    assert profile(settings(**home)) == {"region": "eu-west-1"}
    dev = profile(settings(**home, AWS_PROFILE="dev"))
    assert dev == {"region": "eu-north-1", "aws_access_key_id": "K", "aws_secret_access_key": "s%3"}
    assert region(settings(), dev) == "eu-north-1"
    assert region(settings(AWS_DEFAULT_REGION="us-west-2"), dev) == "us-west-2"
    assert region(settings(), {}) == "us-east-1"
    with pytest.raises(StorageError, match=r"there is no AWS profile prod \(AWS_PROFILE\)"):
        profile(settings(**home, AWS_PROFILE="prod"))


@pytest.mark.parametrize(
    ("uri", "says"),
    [
        ("s3://bkt/m", None),
        ("s3://bkt", None),
        ("s3:///m", '"s3:///m" names no bucket; write s3://BUCKET/PATH'),
        ("s3://../m", '"s3://../m" names no bucket; write s3://BUCKET/PATH'),
    ],
)
def test_what_can_be_told_without_looking_is_told(uri, says):
    assert refusal(uri) == says


def test_nothing_of_a_source_shows_its_secret(tmp_path):
    source = open_source("s3://bkt/m", Settings({**KEYS, "AWS_SESSION_TOKEN": "the-token"}, tmp_path))
    assert "the-secret" not in repr(source)
    assert "the-token" not in repr(source)


# ---- moto

SETUP = """
import json, sys, boto3
how = dict(endpoint_url=sys.argv[1], region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x")
iam = boto3.client("iam", **how)
iam.create_user(UserName="u")
allow = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
iam.put_user_policy(UserName="u", PolicyName="p", PolicyDocument=json.dumps(allow))
key = iam.create_access_key(UserName="u")["AccessKey"]
boto3.client("s3", **how).create_bucket(Bucket="bkt")
print(json.dumps([key["AccessKeyId"], key["SecretAccessKey"]]))
"""


@dataclass(frozen=True)
class Moto:
    url: str
    key: str
    secret: str

    def variables(self, **more: str) -> dict[str, str]:
        keys = {"AWS_ACCESS_KEY_ID": self.key, "AWS_SECRET_ACCESS_KEY": self.secret}
        return {"AWS_ENDPOINT_URL": self.url, "HOME": "/nonexistent", **keys, **more}

    def put(self, **objects: bytes) -> None:
        store = S3Store(
            "bkt", endpoint=self.url, region="us-east-1", access_key_id=self.key, secret_access_key=self.secret,
            client_options={"allow_http": True},
        )  # fmt: skip
        for key, data in objects.items():
            obstore.put(store, key, data)


@pytest.fixture(scope="module")
def moto() -> Iterator[Moto]:
    try:
        interpreter = environment.python("moto")
    except environment.NoPython as nowhere:
        pytest.skip(str(nowhere))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    # The first four calls are those of SETUP; from then on moto checks keys and policies.
    env = environment.environment(INITIAL_NO_AUTH_ACTION_COUNT="4")
    command = [interpreter, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    server = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _wait_for(url, server)
        made = subprocess.run(
            [interpreter, "-c", SETUP, url], env=env, capture_output=True, text=True, timeout=60, check=True
        )
        yield Moto(url, *json.loads(made.stdout))
    finally:
        server.kill()
        server.wait()


def _wait_for(url: str, server: subprocess.Popen[bytes]) -> None:
    give_up = time.monotonic() + 60
    while time.monotonic() < give_up and server.poll() is None:
        try:
            httpx.get(f"{url}/moto-api/", trust_env=False)
            return
        except httpx.TransportError:
            time.sleep(0.05)
    raise AssertionError("moto did not start")


async def test_a_folder_and_a_file_of_a_bucket(moto, tmp_path):
    moto.put(**{"m/big.bin": BIG, "m/sub/ä b.txt": b"x", "m/empty": b"", "m2/other": b"y"})
    storage = Storage(moto.variables(), cache_dir=tmp_path / "cache")
    folder = await storage.fetch("s3://bkt/m", tmp_path)
    found = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert found == {"big.bin": BIG, "sub/ä b.txt": b"x", "empty": b""}
    assert (await storage.fetch("s3://bkt/m/sub/ä b.txt", tmp_path)).read_bytes() == b"x"
    storage.cache.close()


def test_a_part_is_asked_for_under_if_match_and_an_object_that_changed_is_noticed(moto, tmp_path):
    moto.put(changing=b"0123456789")
    source = open_source("s3://bkt/changing", Settings(moto.variables(), tmp_path))
    (item,) = source.listing().items
    assert b"".join(source.read(item, 2, 5)) == b"234"
    moto.put(changing=b"9876543210")
    with pytest.raises(StorageError, match="changed while it was downloaded"):
        list(source.read(item, 2, 5))
    with pytest.raises(NotThere):
        list(source.read(Item("gone", "gone", 1), 0, 1))


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (
            {"AWS_ACCESS_KEY_ID": "AKIAUNKNOWN"},
            r"refused to the access key AKIA… \(AWS_ACCESS_KEY_ID\).*InvalidAccessKeyId",
        ),
        ({"AWS_SECRET_ACCESS_KEY": "wrong-secret"}, r"refused to the access key .*SignatureDoesNotMatch"),
    ],
)
async def test_who_may_not_is_told_which_credential_was_tried_and_what_to_set(moto, tmp_path, more, says):
    moto.put(**{"private/a": b"x"})
    with pytest.raises(Denied, match=says) as caught:
        await Storage(moto.variables(**more), cache_dir=tmp_path / "cache").fetch("s3://bkt/private", tmp_path)
    assert moto.secret not in str(caught.value)


@pytest.fixture
def unchecked(moto: Moto) -> Iterator[None]:
    """While it checks keys, moto fails at a request that has none."""
    for count in (b"1000", b"0"):
        httpx.post(f"{moto.url}/moto-api/reset-auth", content=count, trust_env=False).raise_for_status()
        if count == b"1000":
            yield


async def test_a_private_object_is_refused_to_nobody_in_particular(moto, unchecked, tmp_path):
    moto.put(**{"private/a": b"x"})
    anonymous = Storage(moto.variables(awsAnonymousCredential="true"), cache_dir=tmp_path / "cache")
    with pytest.raises(Denied, match=r"refused to nobody in particular .*; set AWS_ACCESS_KEY_ID"):
        await anonymous.fetch("s3://bkt/private/a", tmp_path)


async def test_kserves_json_is_of_its_source_alone(moto, tmp_path):
    moto.put(**{"json/a": b"x"})
    config = {"type": "s3", "endpoint_url": moto.url, "access_key_id": moto.key, "secret_access_key": moto.secret}
    storage = Storage({"STORAGE_CONFIG": json.dumps(config), "HOME": "/nonexistent"}, cache_dir=tmp_path / "cache")
    assert ((await storage.fetch("s3://bkt/json", tmp_path)) / "a").read_bytes() == b"x"
    storage.cache.close()
