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
from storage.connection import Connection
from storage.errors import Denied, NotThere, StorageError
from storage.listing import Item
from storage.options import Settings
from storage.schemes.s3 import Endpoint, endpoint, found_region, open_source, refusal, region
from tests.peers import environment
from tests.storage.origin import Fault
from tests.storage.test_fetch import BIG

KEYS = {"AWS_ACCESS_KEY_ID": "AKIAKEY", "AWS_SECRET_ACCESS_KEY": "the-secret"}


def settings(**variables):
    return Settings(variables, Path())


@pytest.mark.parametrize(
    ("variables", "where"),
    [
        ({}, Endpoint("https://s3.eu-west-1.amazonaws.com")),
        ({"S3_USER_VIRTUAL_BUCKET": "true"}, Endpoint("https://bkt.s3.eu-west-1.amazonaws.com", virtual=True)),
        ({"AWS_ENDPOINT_URL": "http://h:9000/"}, Endpoint("http://h:9000", name="http://h:9000")),
        (
            {"AWS_ENDPOINT_URL": "http://no", "AWS_ENDPOINT_URL_S3": "https://h"},
            Endpoint("https://h", name="https://h"),
        ),
        ({"S3_ENDPOINT": "minio:9000"}, Endpoint("https://minio:9000", name="https://minio:9000")),
        (
            {"S3_ENDPOINT": "minio:9000", "S3_USE_HTTPS": "0"},
            Endpoint("http://minio:9000", name="http://minio:9000"),
        ),
        (
            {"AWS_ENDPOINT_URL": "http://h:9000", "S3_USER_VIRTUAL_BUCKET": "true"},
            Endpoint("http://bkt.h:9000", virtual=True, name="http://bkt.h:9000"),
        ),
        ({"AWS_ENDPOINT_URL": "https://s3.amazonaws.com"}, Endpoint("https://s3.eu-west-1.amazonaws.com")),
        (
            {"S3_USE_ACCELERATE": "true"},
            Endpoint("https://bkt.s3-accelerate.amazonaws.com", True, "https://bkt.s3-accelerate.amazonaws.com"),
        ),
    ],
)
def test_where_a_bucket_is(variables, where):
    assert endpoint("bkt", settings(**variables), "eu-west-1") == where


def test_china_has_a_domain_of_its_own():
    assert endpoint("bkt", settings(), "cn-north-1").url == "https://s3.cn-north-1.amazonaws.com.cn"


@pytest.mark.parametrize(
    "told",
    ["ftp://h", "http://user:hunter2@h", "http://h?x=hunter2", "http://", "http://[::1", "http://h:99999", "[::1"],
)
def test_an_endpoint_that_is_none_is_refused_without_repeating_it(told):
    with pytest.raises(StorageError, match="the S3 endpoint is http://HOST") as caught:
        endpoint("bkt", settings(AWS_ENDPOINT_URL=told), "us-east-1")
    assert "hunter2" not in str(caught.value)


def test_a_region_is_told_by_variables_then_by_the_profile():
    assert region(settings(), {"region": "eu-north-1"}) == "eu-north-1"
    assert region(settings(AWS_DEFAULT_REGION="us-west-2"), {"region": "eu-north-1"}) == "us-west-2"
    assert region(settings(), {}) is None


@pytest.mark.parametrize(
    ("fault", "found"),
    [
        (Fault(403, headers={"x-amz-bucket-region": "eu-west-1"}), "eu-west-1"),
        (Fault(301, headers={"x-amz-bucket-region": "eu-west-1", "location": "http://elsewhere"}), "eu-west-1"),
        (Fault(404), "us-east-1"),
        (Fault(200, headers={"x-amz-bucket-region": "evil.example/"}), "us-east-1"),
    ],
)
def test_a_region_that_nobody_told_is_what_aws_tells_of_the_bucket(origin, fault, found):
    origin.decide = lambda seen: fault
    assert found_region("bkt", origin.url, Connection()) == found
    assert [(seen.method, seen.path) for seen in origin.seen] == [("HEAD", "/bkt")]


@pytest.mark.parametrize(
    ("more", "asked"),
    [
        ({}, ["s3.us-east-1.amazonaws.com:443"]),
        ({"AWS_DEFAULT_REGION": "eu-west-1"}, []),
        ({"AWS_ENDPOINT_URL": "http://minio:9000"}, []),
    ],
)
def test_aws_is_asked_for_a_region_that_nobody_told_and_nobody_else_is(origin, monkeypatch, tmp_path, more, asked):
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy", "NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HTTPS_PROXY", origin.url)
    open_source("s3://bkt/m", Settings({**KEYS, **more}, tmp_path))
    assert [seen.headers["host"] for seen in origin.seen if seen.method == "CONNECT"] == asked
    origin.seen.clear()
    open_source("s3://bkt/m", Settings({**KEYS, **more}, tmp_path, offline=True))
    assert origin.seen == []


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
    source = open_source(
        "s3://bkt/m", Settings({**KEYS, "AWS_SESSION_TOKEN": "the-token", "AWS_REGION": "r"}, tmp_path)
    )
    assert "the-secret" not in repr(source)
    assert "the-token" not in repr(source)


async def test_what_the_process_knows_is_not_mixed_into_what_a_source_is_told(origin, tmp_path, monkeypatch):
    for name, value in {
        "AWS_SESSION_TOKEN": "of-others", "AWS_SKIP_SIGNATURE": "true", "AWS_ENDPOINT_URL": "http://nowhere",
        "AWS_VIRTUAL_HOSTED_STYLE_REQUEST": "true", "AWS_REQUEST_PAYER": "true",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    origin.files = {"/b/m.bin": b"model"}
    config = {"type": "s3", "endpoint_url": origin.url, "access_key_id": "OURS", "secret_access_key": "the-secret"}
    variables = {"STORAGE_CONFIG": json.dumps(config), "AWS_SESSION_TOKEN": "of-others", "HOME": str(tmp_path)}
    storage = Storage(variables, cache_dir=tmp_path / "cache")
    assert (await storage.fetch("s3://b/m.bin", tmp_path)).read_bytes() == b"model"
    for seen in origin.seen:
        assert seen.headers["authorization"].startswith("AWS4-HMAC-SHA256 Credential=OURS/")
        assert not {"x-amz-security-token", "x-amz-request-payer"} & seen.headers.keys()
    storage.cache.close()


# ---- moto

SETUP = """
import json, sys, boto3
how = dict(endpoint_url=sys.argv[1], region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x")
iam = boto3.client("iam", **how)
user = iam.create_user(UserName="u")["User"]["Arn"]
allow = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
iam.put_user_policy(UserName="u", PolicyName="p", PolicyDocument=json.dumps(allow))
key = iam.create_access_key(UserName="u")["AccessKey"]
who = {"Effect": "Allow", "Principal": {"AWS": user}, "Action": "sts:AssumeRole"}
trust = {"Version": "2012-10-17", "Statement": [who]}
role = iam.create_role(RoleName="r", AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
iam.put_role_policy(RoleName="r", PolicyName="p", PolicyDocument=json.dumps(allow))
boto3.client("s3", **how).create_bucket(Bucket="bkt")
print(json.dumps([key["AccessKeyId"], key["SecretAccessKey"], role]))
"""


@dataclass(frozen=True)
class Moto:
    url: str
    key: str
    secret: str
    role: str

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
    # The first six calls are those of SETUP; from then on moto checks keys and policies.
    env = environment.environment(INITIAL_NO_AUTH_ACTION_COUNT="6")
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


@pytest.mark.parametrize("secret", ["good", "wrong"])
async def test_a_role_is_taken_on_by_the_keys_of_another_profile(moto, tmp_path, secret):
    moto.put(**{"role/a": b"x"})
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws/config").write_text(
        f"[profile reader]\nrole_arn = {moto.role}\nsource_profile = default\nregion = us-east-1\n"
        f"[default]\naws_access_key_id = {moto.key}\n"
        f"aws_secret_access_key = {moto.secret if secret == 'good' else 'a-wrong-secret'}\n"
    )
    variables = {"AWS_PROFILE": "reader", "AWS_ENDPOINT_URL": moto.url, "AWS_ENDPOINT_URL_STS": moto.url}
    storage = Storage({**variables, "HOME": str(tmp_path)}, cache_dir=tmp_path / "cache")
    if secret == "good":
        assert ((await storage.fetch("s3://bkt/role", tmp_path)) / "a").read_bytes() == b"x"
        storage.cache.close()
        return
    with pytest.raises(Denied, match=r"refused to the profile reader in the role arn:.*\(STS\) gave none: 403"):
        await storage.fetch("s3://bkt/role", tmp_path)


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
