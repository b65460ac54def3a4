"""KServe's loggers, set up in a process of their own: what is set up once stays."""

import json
import subprocess
import sys

import pytest

SET_UP = """
import json, logging, sys
from pipeline_serve.kserve.logging import configure_logging, logger, trace_logger
{before}
configure_logging({given})
logger.info("said"); logger.debug("whispered"); trace_logger.info("traced"); logging.getLogger("other").info("other")
"""
YAML = """
version: 1
formatters: {own: {format: "own %(message)s"}}
handlers: {out: {class: logging.StreamHandler, formatter: own}}
loggers: {kserve: {handlers: [out], level: INFO}}
"""
INI = """
[loggers]
keys=root,kserve
[handlers]
keys=out
[formatters]
keys=own
[logger_root]
handlers=
[logger_kserve]
qualname=kserve
level=INFO
handlers=out
[handler_out]
class=StreamHandler
formatter=own
[formatter_own]
format=own %(message)s
"""


def said(given="None", before="", **variables):
    ended = subprocess.run(
        [sys.executable, "-c", SET_UP.format(given=given, before=before)],
        env={"PATH": "", "PYTHONPATH": ":".join(sys.path), **variables}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert ended.stdout == ""
    return ended.stderr.splitlines()


def test_by_itself_it_writes_kserves_lines():
    first, second = said()
    assert " kserve INFO [<string>:<module>():" in first
    assert first.endswith("] said")
    assert second.endswith(" kserve.trace traced")


def test_the_level_is_that_of_the_environment():
    assert [line.rpartition(" ")[2] for line in said(KSERVE_LOGLEVEL="debug")] == ["said", "whispered", "traced"]
    assert said(KSERVE_LOGLEVEL="WARNING") == []


def test_what_was_set_up_before_stays():
    assert said(before='logging.basicConfig(format="mine %(message)s", level="INFO")') == [
        "mine said", "mine traced", "mine other",
    ]  # fmt: skip


@pytest.mark.parametrize("kind", ["dict", ".json", ".yaml", ".yml", ".ini"])
def test_a_configuration_of_ones_own(kind, tmp_path):
    own = {
        "version": 1,
        "formatters": {"own": {"format": "own %(message)s"}},
        "handlers": {"out": {"class": "logging.StreamHandler", "formatter": "own"}},
        "loggers": {"kserve": {"handlers": ["out"], "level": "INFO"}},
    }
    file = tmp_path / f"log{kind}"
    file.write_text({".json": json.dumps(own), ".ini": INI}.get(kind, YAML))
    assert said(repr(own) if kind == "dict" else repr(str(file))) == ["own said", "own traced"]
