"""The Config is a value: complete, and fixed once it is made."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from pipeline.wire.cloudevents import Sender
from server.config import Config, sender_of

GIVEN = {
    "graphs": (Path("graph.yaml"),), "host": "127.0.0.1", "http_port": 0, "workers": 1,
    "grace": 30.0, "drain_delay": 0.0, "keep_alive": 65.0,
    "max_body": 2**26, "ready": "all", "log_level": "info", "log_format": "text",
    "access_log": True, "tls_cert": None, "tls_key": None, "model_name": None, "model_repository": None, "ui": True,
    "log_config": None, "access_log_format": None, "access_log_rate": 500, "latency_log": False,
    "cache_dir": None, "cache_size": None, "offline": False,
}  # fmt: skip


def test_every_setting_is_given_by_name_and_none_has_a_default_of_its_own():
    # The defaults stand in server/flags.py, once.
    assert {field.name for field in dataclasses.fields(Config)} == set(GIVEN)
    assert all(field.default is dataclasses.MISSING for field in dataclasses.fields(Config))
    for name in GIVEN:
        with pytest.raises(TypeError):
            Config(**{key: value for key, value in GIVEN.items() if key != name})


def test_a_config_cannot_be_changed():
    config = Config(**GIVEN)
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.http_port = 1
    assert dataclasses.replace(config, http_port=1).http_port == 1


@pytest.mark.parametrize(
    ("variables", "sender"),
    [
        ({}, Sender()),
        ({"CE_TYPE": "ours", "CE_SOURCE": "/us", "CE_MERGE": "True"}, Sender("ours", "/us", merge=True)),
        ({"CE_TYPE": "", "CE_SOURCE": "", "CE_MERGE": "1"}, Sender()),
    ],
)
def test_what_replies_that_are_events_say_is_in_kserves_variables(variables, sender):
    assert sender_of(variables) == sender
