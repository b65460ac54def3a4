"""KServe's loggers, set up in a process of their own: what is set up once stays."""

import json
import subprocess
import sys

import pytest

# One process imports; a fork of it per case is set up, and says into a file of its own.
CASES = """
import logging, os, sys
from pipeline_serve.kserve import logging as own
from pipeline_serve.kserve.constants import constants
from pipeline_serve.kserve.logging import configure_logging, logger, trace_logger

for name, (given, before, variables) in eval(sys.stdin.read()).items():
    if os.fork():
        os.wait()
        continue
    os.environ.update(variables)
    os.dup2(os.open(name, os.O_CREAT | os.O_WRONLY), 2)
    if before:
        logging.basicConfig(format="mine %(message)s", level="INFO")
    if given == "changed":
        from pipeline_serve.kserve.logging import KSERVE_LOG_CONFIG

        levels = f"{own.KSERVE_LOGLEVEL} {constants.KSERVE_LOGLEVEL}"
        KSERVE_LOG_CONFIG["formatters"]["kserve"]["fmt"] = f"{levels} %(message)s"
        given = None
    configure_logging(given)
    logger.info("said"), logger.debug("whispered"), trace_logger.info("traced")
    logging.getLogger("other").info("other")
    os._exit(0)
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


OWN = {
    "version": 1,
    "formatters": {"own": {"format": "own %(message)s"}},
    "handlers": {"out": {"class": "logging.StreamHandler", "formatter": "own"}},
    "loggers": {"kserve": {"handlers": ["out"], "level": "INFO"}},
}
FILES = {"log.json": json.dumps(OWN), "log.yaml": YAML, "log.yml": YAML, "log.ini": INI}


@pytest.fixture(scope="module")
def said(tmp_path_factory):
    """Case → the lines that were written."""
    folder = tmp_path_factory.mktemp("logging")
    for name, text in FILES.items():
        (folder / name).write_text(text)
    cases = {
        "by itself": (None, False, {}),
        "debug": (None, False, {"KSERVE_LOGLEVEL": "debug"}),
        "warning": (None, False, {"KSERVE_LOGLEVEL": "WARNING"}),
        "set up before": (None, True, {}),
        "changed": ("changed", False, {"KSERVE_LOGLEVEL": "info"}),
        "dict": (OWN, False, {}),
        **{f"by {name}": (name, False, {}) for name in FILES},
    }
    environment = {"PATH": "", "PYTHONPATH": ":".join(sys.path)}
    command = [sys.executable, "-c", CASES]
    subprocess.run(command, cwd=folder, env=environment, input=repr(cases), text=True, check=True)
    return {name: (folder / name).read_text().splitlines() for name in cases}


def test_by_itself_it_writes_kserves_lines(said):
    first, second = said["by itself"]
    assert " kserve INFO [<string>:<module>():" in first
    assert first.endswith("] said")
    assert second.endswith(" kserve.trace traced")


def test_the_level_is_that_of_the_environment(said):
    assert [line.rpartition(" ")[2] for line in said["debug"]] == ["said", "whispered", "traced"]
    assert said["warning"] == []


def test_kserves_configuration_may_be_changed_before_it_is_applied(said):
    level, traced = said["changed"]
    assert level == "INFO INFO said"
    assert traced.endswith(" kserve.trace traced")


def test_what_was_set_up_before_stays(said):
    assert said["set up before"] == ["mine said", "mine traced", "mine other"]


@pytest.mark.parametrize("kind", ["dict", *(f"by {name}" for name in FILES)])
def test_a_configuration_of_ones_own(said, kind):
    assert said[kind] == ["own said", "own traced"]
