"""AWS's credentials: which of them asks, and each of a server that gives it to whoever shows the right thing."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs

import pytest

from storage import Storage
from storage.connection import Connection
from storage.credentials.aws import account, profile
from storage.errors import Denied, StorageError
from storage.options import Settings
from tests.storage.origin import Fault

KEYS = {"AWS_ACCESS_KEY_ID": "AKIAKEY", "AWS_SECRET_ACCESS_KEY": "the-secret"}
SSO = {"sso_session": "corp", "sso_account_id": "1", "sso_role_name": "reader", "sso_region": "r", "sso_start_url": "u"}
LATER = (datetime.now(UTC) + timedelta(hours=1)).replace(microsecond=0)
ISO = LATER.isoformat().replace("+00:00", "Z")


def settings(**variables):
    return Settings(variables, Path())


def asks(variables, own=()):
    return account(settings(**variables), dict(own), "eu-west-1", Connection())


@pytest.mark.parametrize(
    ("variables", "own", "tried"),
    [
        ({"awsAnonymousCredential": "true", **KEYS}, {}, "nobody in particular"),
        ({**KEYS, "AWS_PROFILE": "dev"}, {"aws_access_key_id": "no", "aws_secret_access_key": "no"},
         "the access key AKIA…"),
        ({**KEYS, "AWS_WEB_IDENTITY_TOKEN_FILE": "/t", "AWS_ROLE_ARN": "arn:r"}, {}, "the access key AKIA…"),
        ({"AWS_WEB_IDENTITY_TOKEN_FILE": "/t", "AWS_ROLE_ARN": "arn:r"},
         {"aws_access_key_id": "no", "aws_secret_access_key": "no"}, "the role arn:r"),
        ({"AWS_PROFILE": "dev"}, {"aws_access_key_id": "P", "aws_secret_access_key": "p"}, "the profile dev"),
        ({}, {"role_arn": "arn:r", "web_identity_token_file": "/t"}, "the profile default"),
        ({}, SSO, "the profile default (signed in by aws sso login)"),
        ({"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/v2"}, {"region": "r"}, "the container's role"),
        ({}, {}, "the machine's role"),
    ],
)  # fmt: skip
def test_who_asks_in_the_order_of_the_sdks(variables, own, tried):
    who = asks(variables, own)
    assert who.tried.startswith(tried)
    assert who.nobody is tried.startswith("nobody")
    assert "secret" not in repr(who)


def test_keys_are_given_as_they_are_set_without_the_line_end_of_a_file():
    given = asks({**KEYS, "AWS_SESSION_TOKEN": "token\r\n"})
    assert given.credential() == {
        "access_key_id": "AKIAKEY", "secret_access_key": "the-secret", "token": "token", "expires_at": None,
    }  # fmt: skip
    assert given.secrets == ("the-secret", "token")


@pytest.mark.parametrize(
    ("variables", "own", "says"),
    [
        ({"AWS_ACCESS_KEY_ID": "K"}, {}, "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY go together"),
        ({**KEYS, "AWS_SESSION_TOKEN": "to\nken"}, {}, r"access key AKIA… \(AWS_ACCESS_KEY_ID\) has a line end in it"),
        ({}, {"role_arn": "arn:r"}, "the AWS profile default takes on a role, and has neither a source_profile"),
        ({}, {"role_arn": "arn:r", "credential_source": "Environment"}, "nor a credential_source .* that gives some"),
        ({}, {"role_arn": "arn:r", "source_profile": "gone"}, r"there is no AWS profile gone \(source_profile\)"),
        ({"AWS_PROFILE": "dev"}, {"role_arn": "arn:r", "mfa_serial": "arn:m"},
         "profile dev has mfa_serial, which is not followed here; run aws configure export-credentials --profile dev"),
        ({}, {"credential_process": "/bin/keys"}, "the AWS profile default has credential_process"),
        ({}, {"sso_account_id": "1"}, "the AWS profile default has sso_account_id"),
        ({"AWS_EC2_METADATA_DISABLED": "true"}, {}, "there are no credentials for S3, .*; set AWS_ACCESS_KEY_ID"),
    ],
)  # fmt: skip
def test_what_cannot_be_followed_says_how_to_go_on(variables, own, says):
    with pytest.raises(StorageError, match=says) as caught:
        asks(variables, own)
    assert "secret" not in str(caught.value).replace("AWS_SECRET", "")


def test_profiles_are_read_from_both_files_with_their_sign_in(tmp_path):
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws/config").write_text(
        "[default]\nregion = eu-west-1\n[profile dev]\nregion = eu-north-1\nsso_session = corp\n"
        "[sso-session corp]\nsso_region = us-east-1\n"
    )
    (tmp_path / ".aws/credentials").write_text("[dev]\naws_access_key_id = K\naws_secret_access_key = s%3\n")
    home = {"HOME": str(tmp_path)}
    assert profile(settings(**home)) == {"region": "eu-west-1"}
    assert profile(settings(**home, AWS_PROFILE="dev")) == {
        "region": "eu-north-1", "sso_session": "corp", "sso_region": "us-east-1",
        "aws_access_key_id": "K", "aws_secret_access_key": "s%3",
    }  # fmt: skip
    with pytest.raises(StorageError, match=r"there is no AWS profile prod \(AWS_PROFILE\)"):
        profile(settings(**home, AWS_PROFILE="prod"))
    (tmp_path / ".aws/config").write_text("no section")
    with pytest.raises(StorageError, match="is no file of AWS profiles"):
        profile(settings(**home))


def shown(seen, name, value):
    return seen.headers.get(name) == value


@pytest.fixture
def clouds(origin, tmp_path):
    """Gives AWS's keys as each of its servers does, and shows bucket ``b`` to their bearer alone."""

    def keys(key, secret, token, until, expires=ISO):
        return {key: "TEMPORARY", secret: "temporary-secret", token: "temporary-token", until: expires}

    def decide(seen):
        match seen.method, seen.path:
            case "POST", "/sts":
                form = {name: values[0] for name, values in parse_qs(seen.body.decode()).items()}
                good = (form["Action"], form["WebIdentityToken"]) == ("AssumeRoleWithWebIdentity", "of-the-pod")
                told = keys("AccessKeyId", "SecretAccessKey", "SessionToken", "Expiration")
                body = "".join(f"<{name}>{value}</{name}>" for name, value in told.items()).encode()
            case "GET", "/sso/federation/credentials":
                good = shown(seen, "x-amz-sso_bearer_token", "signed-in") and "role_name=reader" in seen.query
                told = keys("accessKeyId", "secretAccessKey", "sessionToken", "expiration", LATER.timestamp() * 1000)
                body = json.dumps({"roleCredentials": told}).encode()
            case "GET", "/task":
                good = shown(seen, "authorization", "of-the-task")
                body = json.dumps(keys("AccessKeyId", "SecretAccessKey", "Token", "Expiration")).encode()
            case "PUT", "/latest/api/token":
                good, body = shown(seen, "x-aws-ec2-metadata-token-ttl-seconds", "21600"), b"of-the-machine"
            case "GET", "/latest/meta-data/iam/security-credentials/":
                good, body = shown(seen, "x-aws-ec2-metadata-token", "of-the-machine"), b"reader"
            case "GET", "/latest/meta-data/iam/security-credentials/reader":
                good = shown(seen, "x-aws-ec2-metadata-token", "of-the-machine")
                body = json.dumps(keys("AccessKeyId", "SecretAccessKey", "Token", "Expiration")).encode()
            case _:
                signed = seen.headers.get("authorization", "").startswith("AWS4-HMAC-SHA256 Credential=TEMPORARY/")
                return None if signed and shown(seen, "x-amz-security-token", "temporary-token") else Fault(403)
        return Fault(200 if good else 403, body=body)

    origin.decide = decide
    origin.files = {"/b/m.bin": b"model"}
    (tmp_path / "token").write_text("of-the-pod\n")
    (tmp_path / "task").write_text("of-the-task\n")
    (tmp_path / ".aws/sso/cache").mkdir(parents=True)
    (tmp_path / ".aws/config").write_text(
        "[profile dev]\nsso_session = corp\nsso_account_id = 1\nsso_role_name = reader\n"
        "[sso-session corp]\nsso_region = eu-west-1\nsso_start_url = https://corp.example\n"
        f"[profile pod]\nrole_arn = arn:r\nweb_identity_token_file = {tmp_path}/token\n"
    )
    sign_in(tmp_path, accessToken="signed-in", expiresAt=ISO)
    return origin


def sign_in(home, **told):
    known = hashlib.sha1(b"corp").hexdigest()
    (home / f".aws/sso/cache/{known}.json").write_text(json.dumps(told))


def variables(clouds, home, **more):
    return {
        "AWS_ENDPOINT_URL_S3": clouds.url, "AWS_ENDPOINT_URL_STS": f"{clouds.url}/sts", "HOME": str(home),
        "AWS_ENDPOINT_URL_SSO": f"{clouds.url}/sso", "AWS_EC2_METADATA_SERVICE_ENDPOINT": clouds.url, **more,
    }  # fmt: skip


@pytest.mark.parametrize(
    "more",
    [
        {"AWS_WEB_IDENTITY_TOKEN_FILE": "{}/token", "AWS_ROLE_ARN": "arn:r"},
        {"AWS_PROFILE": "pod"},
        {"AWS_PROFILE": "dev"},
        {"AWS_CONTAINER_CREDENTIALS_FULL_URI": "url/task", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": "{}/task"},
        {"AWS_CONTAINER_CREDENTIALS_FULL_URI": "url/task", "AWS_CONTAINER_AUTHORIZATION_TOKEN": "of-the-task"},
        {},
    ],
    ids=["web identity", "its profile", "sign-in", "container, file", "container, variable", "machine"],
)
async def test_temporary_keys_are_asked_for_once_and_a_model_is_read_by_them(clouds, tmp_path, more):
    told = {name: value.format(tmp_path).replace("url/", f"{clouds.url}/") for name, value in more.items()}
    storage = Storage(variables(clouds, tmp_path, **told), cache_dir=tmp_path / "cache")
    assert (await storage.fetch("s3://b/m.bin", tmp_path)).read_bytes() == b"model"
    asked = [(seen.method, seen.path) for seen in clouds.seen if not seen.path.startswith("/b/")]
    assert len(set(asked)) == len(asked)
    storage.cache.close()


@pytest.mark.parametrize(
    ("told", "says"),
    [
        ({"accessToken": "signed-in", "expiresAt": "2020-01-01T00:00:00UTC"},
         "the sign-in for the AWS profile dev has expired; run aws sso login --profile dev"),
        ({}, "nobody is signed in for the AWS profile dev; run aws sso login --profile dev"),
        ({"accessToken": "of-another", "expiresAt": ISO}, r"the sign-in portal of AWS \(SSO\) gave none: 403"),
    ],
)  # fmt: skip
async def test_who_is_not_signed_in_is_told_what_to_run(clouds, tmp_path, told, says):
    sign_in(tmp_path, **told)
    storage = Storage(variables(clouds, tmp_path, AWS_PROFILE="dev"), cache_dir=tmp_path / "cache")
    with pytest.raises(Denied, match=rf"^S3 resource s3://b/m.bin is refused to the profile dev .*: {says}") as caught:
        await storage.fetch("s3://b/m.bin", tmp_path)
    assert "of-another" not in str(caught.value)


async def test_a_machine_without_a_role_says_that_nothing_is_set(origin, tmp_path):
    told = variables(origin, tmp_path, AWS_EC2_METADATA_SERVICE_ENDPOINT="http://127.0.0.1:9")
    with pytest.raises(Denied, match=r"no credentials are set, and this machine's metadata cannot be .*; set AWS_"):
        await Storage(told, cache_dir=tmp_path / "cache").fetch("s3://b/m.bin", tmp_path)
    assert origin.seen == [], "nothing is asked without keys"
