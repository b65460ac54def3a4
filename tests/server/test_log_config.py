"""Logging by a file: each form of it, what it leaves alone, and what is none."""

from __future__ import annotations

import json
import logging

import pytest

from server.log_config import BadLogConfig, configure_by

NAME = "a-model-of-the-test"
CONFIG = {
    "version": 1,
    "formatters": {"own": {"format": "own %(message)s"}},
    "handlers": {"err": {"class": "logging.StreamHandler", "formatter": "own", "stream": "ext://sys.stderr"}},
    "loggers": {NAME: {"handlers": ["err"], "level": "INFO", "propagate": False}},
}
INI = f"""
[loggers]
keys=root,own
[handlers]
keys=err
[formatters]
keys=own
[logger_root]
handlers=
[logger_own]
qualname={NAME}
handlers=err
level=INFO
propagate=0
[handler_err]
class=StreamHandler
formatter=own
args=(sys.stderr,)
[formatter_own]
format=own %(message)s
"""


@pytest.fixture(autouse=True)
def logger(own_logging):
    own = logging.getLogger(NAME)
    yield own
    own.handlers[:], own.propagate = [], True
    own.setLevel(logging.NOTSET)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("log.json", json.dumps(CONFIG)),
        ("log.yaml", json.dumps(CONFIG).replace("false", "no")),  # YAML 1.1, as in all such files
        ("log.conf", INI),
    ],
)
def test_a_file_sets_up_the_loggers_that_it_names_and_no_others(tmp_path, capsys, logger, name, text):
    (tmp_path / name).write_text(text)
    other = logging.getLogger("pipeline_serve.access")
    configure_by(tmp_path / name)
    logger.info("hello")
    assert capsys.readouterr().err == "own hello\n"
    assert not other.disabled


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("log.json", "{", "JSONDecodeError"),
        ("log.json", "[]", "TypeError: it is a mapping, with version: 1"),
        ("log.yaml", "a: [", "ParserError"),
        ("log.yaml", "version: 2", "ValueError: Unsupported version"),
        ("log.yaml", json.dumps(CONFIG).replace("StreamHandler", "NoHandler"), "ValueError: "),
        ("log.conf", "nothing", "contains no section headers"),
    ],
)
def test_a_file_that_is_none_is_told_on_one_line_that_names_it(tmp_path, name, text, says):
    (tmp_path / name).write_text(text)
    with pytest.raises(BadLogConfig) as error:
        configure_by(tmp_path / name)
    assert str(error.value).startswith(f"{tmp_path / name} is no configuration of logging: ")
    assert says in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["nope.json", "nope.conf", ""])
def test_one_that_is_not_there_is_said_to_be_so(tmp_path, name):
    with pytest.raises(BadLogConfig) as error:
        configure_by(tmp_path / name)
    assert str(error.value) == f"--log-config (--log_config_file): there is no file {tmp_path / name}"
