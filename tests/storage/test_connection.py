"""Certificates, timeouts and their variables: as values, and to a server that speaks TLS, with both libraries."""

from __future__ import annotations

from pathlib import Path

import pytest

from storage.connection import connection
from storage.errors import StorageError, Untrusted
from storage.options import Settings
from storage.schemes import http, s3
from tests.storage.origin import Fault, serving
from tests.tls import signed


def made(**variables):
    return connection(Settings(variables, Path()), plain=False)


def test_times_are_kserves_variables():
    own = made(S3_CONNECT_TIMEOUT="1.5", S3_READ_TIMEOUT="7")
    assert (own.connect, own.read, made().connect, made().read) == (1.5, 7.0, 15.0, 30.0)
    told = own.options()
    assert (told["connect_timeout"], told["read_timeout"]) == ("1500ms", "7000ms")
    assert told["timeout"] == "24h", "a body takes as long as it takes"


PEM = "-----BEGIN CERTIFICATE-----"


def test_certificates_are_files_of_variables_in_this_order(tmp_path):
    for name in ("aws.pem", "requests.pem", "cabundle.crt"):
        (tmp_path / name).write_text(f"{PEM}{name}")
    kserve = {"CA_BUNDLE_CONFIGMAP_NAME": "x", "CA_BUNDLE_VOLUME_MOUNT_POINT": str(tmp_path)}
    requests = {"REQUESTS_CA_BUNDLE": f"{tmp_path}/requests.pem", **kserve}
    assert made(AWS_CA_BUNDLE=f"{tmp_path}/aws.pem", **requests).certificates == f"{PEM}aws.pem".encode()
    assert made(**requests).certificates == f"{PEM}requests.pem".encode()
    assert made(**kserve).certificates == f"{PEM}cabundle.crt".encode()
    assert made().certificates is None
    (tmp_path / "aws.pem").write_text("aws.pem")
    with pytest.raises(StorageError, match=r"the CA bundle .*/aws\.pem has no certificates in it \(PEM: "):
        made(AWS_CA_BUNDLE=f"{tmp_path}/aws.pem")
    with pytest.raises(StorageError, match="the CA bundle /no/such/file cannot be read: No such file"):
        made(AWS_CA_BUNDLE="/no/such/file")
    with pytest.raises(StorageError, match=r"the CA bundle /etc/ssl/custom-certs/cabundle.crt cannot be read"):
        made(CA_BUNDLE_CONFIGMAP_NAME="x")


@pytest.fixture(scope="module")
def secured(tmp_path_factory):
    """An origin behind TLS, whose certificate an authority of the test's own has signed, and that authority's."""
    authority, leaf = signed(tmp_path_factory.mktemp("tls"))
    with serving(leaf) as origin:
        origin.files = {"/b/m.bin": b"model", "/m.bin": b"model"}
        yield origin, authority


def listing(uri, origin, **variables):
    told = {"AWS_ENDPOINT_URL": origin.url, "awsAnonymousCredential": "true", **variables}
    source = (s3 if uri.startswith("s3:") else http).open_source(uri, Settings(told, Path()))
    (item,) = source.listing().items
    return b"".join(source.read(item, 0, 5))


@pytest.mark.parametrize("uri", ["s3://b/m.bin", "{}/m.bin"])
def test_a_bundle_is_trusted_and_nobody_without_it(secured, uri):
    origin, authority = secured
    assert listing(uri.format(origin.url), origin, AWS_CA_BUNDLE=str(authority)) == b"model"
    with pytest.raises(Untrusted, match="cannot be reached"):
        listing(uri.format(origin.url), origin)


def test_s3_alone_may_go_unverified_and_an_empty_variable_does_not_say_so(secured):
    origin, _ = secured
    assert listing("s3://b/m.bin", origin, S3_VERIFY_SSL="0") == b"model"
    with pytest.raises(Untrusted):
        listing(f"{origin.url}/m.bin", origin, S3_VERIFY_SSL="0")
    with pytest.raises(Untrusted):
        listing("s3://b/m.bin", origin, S3_VERIFY_SSL="")


def test_tokens_are_asked_for_by_the_same_certificates_and_always_verified(secured, tmp_path):
    origin, authority = secured
    (tmp_path / "token").write_text("of-the-pod")
    role = {"AWS_WEB_IDENTITY_TOKEN_FILE": f"{tmp_path}/token", "AWS_ROLE_ARN": "arn:r", "awsAnonymousCredential": "",
            "AWS_ENDPOINT_URL_STS": f"{origin.url}/sts"}  # fmt: skip
    told = "<AccessKeyId>K</AccessKeyId><SecretAccessKey>S</SecretAccessKey><SessionToken>T</SessionToken>"
    body = f"{told}<Expiration>2099-01-01T00:00:00Z</Expiration>".encode()
    origin.decide = lambda seen: Fault(200, body=body) if seen.path == "/sts" else None
    assert listing("s3://b/m.bin", origin, AWS_CA_BUNDLE=str(authority), **role) == b"model"
    with pytest.raises(Untrusted, match=r"cannot be asked by the role arn:r .*: the token service of AWS"):
        listing("s3://b/m.bin", origin, S3_VERIFY_SSL="0", **role)
