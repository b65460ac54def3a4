"""Reading URIs."""

import pytest

from storage.uri import bucket_and_key, file_name, host_of, malformed, scheme_of, slashed


@pytest.mark.parametrize(
    ("uri", "scheme"),
    [
        ("model.joblib", ""),
        ("/a/b", ""),
        ("./a:b", ""),
        ("C://x", ""),
        ("C:\\x", ""),
        ("", ""),
        ("s3:x", ""),
        ("s3://b/k", "s3"),
        ("S3://b/k", "s3"),
        ("file:///x", "file"),
        ("1s://x", ""),
        ("a/s3://b", ""),
        ("git+ssh://x", "git+ssh"),
    ],
)
def test_the_scheme_is_what_stands_before_the_slashes(uri, scheme):
    assert scheme_of(uri) == scheme


@pytest.mark.parametrize(
    ("uri", "host"),
    [
        ("https://Host.Example:8443/x", "host.example"),
        ("https://user:pass@host/x", "host"),
        ("https:///x", ""),
        ("https://[::1]:80/x", "::1"),
        ("https://[bad/x", ""),
        ("model.joblib", ""),
    ],
)
def test_the_host_has_neither_user_nor_port(uri, host):
    assert host_of(uri) == host


@pytest.mark.parametrize(
    ("uri", "parts"),
    [
        ("s3://b", ("b", "")),
        ("s3://b/", ("b", "")),
        ("s3://b/k", ("b", "k")),
        ("s3://b/a/b c/", ("b", "a/b c/")),
        ("s3://b/a%20b?c#d", ("b", "a%20b?c#d")),
        ("s3:///k", ("", "k")),
    ],
)
def test_keys_are_taken_as_written(uri, parts):
    assert bucket_and_key(uri) == parts


@pytest.mark.parametrize(
    ("uri", "name"),
    [
        ("http://h/a/m.bin", "m.bin"),
        ("http://h/a%20b/m%20%C3%A4.bin?sig=x#y", "m ä.bin"),
        ("http://h/m%2Fn", "m/n"),
        ("http://h/", ""),
        ("http://h", ""),
    ],
)
def test_a_files_name_is_the_last_segment_decoded(uri, name):
    assert file_name(uri) == name


@pytest.mark.parametrize(
    "uri", ["http://[::1/x", "http://u:hush@h:port/x", "s3://b:99999/k", "https://h\u2100.example/x"]
)
def test_a_uri_whose_host_cannot_be_read_is_told_so_without_its_secrets(uri):
    told = malformed(uri)
    assert told is not None
    assert told.endswith("has a host or a port that cannot be read")
    assert "hush" not in told


@pytest.mark.parametrize("uri", ["m.joblib", "/a:b/c", "s3://b/k[1]", "http://[::1]:80/x", "abfs://c@h/x", "C:/m"])
def test_others_may_be_read_further(uri):
    assert malformed(uri) is None
    assert slashed(uri, {"s3", "http"}) is None


@pytest.mark.parametrize(
    ("uri", "meant"),
    [
        ("s3:/b/k", "s3://b/k"),
        ("s3:b/k", "s3://b/k"),
        ("HTTP:/h/x", "HTTP://h/x"),
        ("s3:///k", None),
        ("./s3:/b", None),
        ("ftp:/h/x", None),
    ],
)
def test_a_slash_that_is_missing_is_seen_where_the_scheme_is_known(uri, meant):
    assert slashed(uri, {"s3", "http"}) == meant
