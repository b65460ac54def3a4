"""KServe's JSON over the environment, for the source it is meant for and no other; the environment stays as it is."""

import json
from pathlib import Path

import pytest

from storage.errors import StorageError
from storage.options import Settings, misused, patterns, variables_for, with_options

CONFIG = {
    "type": "s3",
    "endpoint_url": "http://minio:9000",
    "access_key_id": "KEY",
    "secret_access_key": "the-secret",
    "region": "eu-west-1",
    "verify_ssl": False,
    "anonymous": None,
    "unknown": "x",
}


def test_kserves_words_become_the_variables_of_one_source():
    environment = {"STORAGE_CONFIG": json.dumps(CONFIG), "AWS_ENDPOINT_URL_S3": "http://other", "HOME": "/root"}
    before = dict(environment)
    told = variables_for("s3", environment)
    assert {name: value for name, value in told.items() if name not in before} == {
        "AWS_ENDPOINT_URL": "http://minio:9000",
        "AWS_ACCESS_KEY_ID": "KEY",
        "AWS_SECRET_ACCESS_KEY": "the-secret",
        "AWS_DEFAULT_REGION": "eu-west-1",
        "S3_VERIFY_SSL": "false",
    }
    assert "AWS_ENDPOINT_URL_S3" not in told, "what was named wins over the environment"
    assert environment == before
    assert variables_for("gs", environment) == environment


def test_the_override_wins_word_by_word():
    override = json.dumps({"region": "us-west-2", "anonymous": True})
    told = variables_for("s3", {"STORAGE_CONFIG": json.dumps(CONFIG), "STORAGE_OVERRIDE_CONFIG": override})
    assert told["AWS_DEFAULT_REGION"] == "us-west-2"
    assert told["awsAnonymousCredential"] == "true"
    assert told["AWS_ACCESS_KEY_ID"] == "KEY"


def test_hdfs_has_kserves_own_names():
    told = variables_for("webhdfs", {"STORAGE_CONFIG": json.dumps({"type": "hdfs", "HDFS_NAMENODE": "http://n:9870"})})
    assert told["HDFS_NAMENODE"] == "http://n:9870"


@pytest.mark.parametrize("text", ["{", "[]", '"the-secret"', "the-secret"])
def test_json_that_is_no_map_is_an_error_that_does_not_repeat_it(text):
    with pytest.raises(StorageError, match=r"^STORAGE_CONFIG is not a JSON object$"):
        variables_for("s3", {"STORAGE_CONFIG": text})


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("", ()),
        ("[]", ()),
        ('["*.safetensors", "config.json"]', ("*.safetensors", "config.json")),
        ("*.bin, *.json,", ("*.bin", "*.json")),
        ('"*.bin"', ("*.bin",)),
        ("*.bin", ("*.bin",)),
        ("7", ("7",)),
    ],
)
def test_patterns_are_a_json_array_a_scalar_or_a_comma_list(text, read):
    assert patterns({"STORAGE_ALLOW_PATTERNS": text}, "STORAGE_ALLOW_PATTERNS") == read


def test_settings_show_no_variable():
    settings = Settings({"AWS_SECRET_ACCESS_KEY": "the-secret"}, Path("/graph"))
    assert "the-secret" not in repr(settings)
    assert settings.get("NOTHING", "AWS_SECRET_ACCESS_KEY") == "the-secret"


@pytest.mark.parametrize(
    ("value", "says"), [("0", False), ("False", False), ("no", False), ("1", True), ("true", True)]
)
def test_yes_and_no_are_kserves(value, says):
    assert Settings({"S3_VERIFY_SSL": value}, Path()).says("S3_VERIFY_SSL", default=not says) is says


def test_an_empty_variable_says_nothing():
    assert Settings({"S3_VERIFY_SSL": " "}, Path()).says("S3_VERIFY_SSL", default=True)
    assert not Settings({"OTHER": ""}, Path()).says("OTHER", default=False)
    assert Settings({"A": " ", "B": "b\r\n"}, Path()).get("A", "B") == "b"


def test_keys_of_kserves_json_come_without_the_session_of_others():
    environment = {
        "AWS_SESSION_TOKEN": "of-others", "AWS_ENDPOINT_URL": "http://h", "awsAnonymousCredential": "true",
        "STORAGE_CONFIG": '{"type": "s3", "access_key_id": "K", "secret_access_key": "S"}',
    }  # fmt: skip
    told = dict(variables_for("s3", environment))
    assert told.pop("STORAGE_CONFIG")
    assert told == {"AWS_ACCESS_KEY_ID": "K", "AWS_SECRET_ACCESS_KEY": "S", "AWS_ENDPOINT_URL": "http://h"}


@pytest.mark.parametrize("told", ["soon", "0", "-1", "inf", "nan"])
def test_a_time_that_is_none_is_named(told):
    with pytest.raises(StorageError, match=f'S3_READ_TIMEOUT is a number of seconds above 0, not "{told}"'):
        Settings({"S3_READ_TIMEOUT": told}, Path()).seconds("S3_READ_TIMEOUT", 30)


def test_a_steps_options_are_over_the_variables_of_the_same_meaning():
    words = {"endpoint": "AWS_ENDPOINT_URL", "anonymous": "awsAnonymousCredential"}
    before = {"AWS_ENDPOINT_URL_S3": "http://other", "HOME": "/root"}
    told = with_options(before, words, {"endpoint": "http://h", "anonymous": True})
    assert told == {"HOME": "/root", "AWS_ENDPOINT_URL": "http://h", "awsAnonymousCredential": "true"}
    assert "AWS_ENDPOINT_URL_S3" in before


@pytest.mark.parametrize(
    ("words", "options", "says"),
    [
        ({"endpoint": "E"}, {}, None),
        ({"endpoint": "E"}, {"endpoint": "http://h"}, None),
        ({"endpoint": "E"}, {"secret": "hush"}, 's3:// has no storage option but endpoint; "secret" is none'),
        ({}, {"endpoint": "hush"}, 's3:// has no storage options; "endpoint" is none'),
        ({"endpoint": "E"}, {"endpoint": 7}, "the storage option endpoint is a text"),
        ({"anonymous": "A"}, {"anonymous": 1}, "the storage option anonymous is true or false"),
    ],
)
def test_options_that_a_source_has_not_are_refused(words, options, says):
    assert misused("s3", words, options) == says
