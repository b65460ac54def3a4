"""KServe's loggers, and their set-up by its rules.

``KSERVE_LOGLEVEL`` and ``KSERVE_LOG_CONFIG`` are made when somebody asks for them; a script may change the latter
before it sets the loggers up. It has no loggers of uvicorn, which nobody here writes to.
"""

from __future__ import annotations

import functools
import logging
import logging.config
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from server.log_config import file_config

KSERVE_LOGGER_NAME = "kserve"
KSERVE_TRACE_LOGGER_NAME = "kserve.trace"
KSERVE_LOGGER_DATE_FORMAT = "%Y-%m-%d %H:%M:%S"
KSERVE_LOGGER_FORMAT = (
    "%(asctime)s.%(msecs)03d %(process)s %(name)s %(levelname)s [%(filename)s:%(funcName)s():%(lineno)s] %(message)s"
)
KSERVE_TRACE_LOGGER_FORMAT = "%(asctime)s.%(msecs)03d %(process)s %(name)s %(message)s"
logger = logging.getLogger(KSERVE_LOGGER_NAME)
trace_logger = logging.getLogger(KSERVE_TRACE_LOGGER_NAME)

if TYPE_CHECKING:
    KSERVE_LOGLEVEL: str
    KSERVE_LOG_CONFIG: dict[str, Any]
else:

    def __getattr__(name: str) -> object:
        match name:
            case "KSERVE_LOGLEVEL":
                return _level()
            case "KSERVE_LOG_CONFIG":
                return _config()
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def configure_logging(log_config: Mapping[str, Any] | str | os.PathLike[str] | None = None) -> None:
    """KServe's lines on stderr; or what a dictionary, a ``.json``, ``.yaml`` or any other (ini) file says.

    Without a configuration, one that is there stays as it is. ``KSERVE_LOGLEVEL`` in the environment is the level.
    """
    if log_config is None:
        if not logger.hasHandlers():
            logging.config.dictConfig(_config())
        return
    if isinstance(log_config, Mapping):
        logging.config.dictConfig(dict(log_config))
        return
    file_config(Path(log_config))


def _level() -> str:
    return os.environ.get("KSERVE_LOGLEVEL", "INFO").upper()


@functools.cache
def _config() -> dict[str, Any]:
    """One for all, since a script may change it."""
    forms = {"kserve": KSERVE_LOGGER_FORMAT, "kserve_trace": KSERVE_TRACE_LOGGER_FORMAT}
    names = {"kserve": KSERVE_LOGGER_NAME, "kserve_trace": KSERVE_TRACE_LOGGER_NAME}
    formatter = {"()": "logging.Formatter", "datefmt": KSERVE_LOGGER_DATE_FORMAT}
    handler = {"class": "logging.StreamHandler", "stream": "ext://sys.stderr"}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {form: formatter | {"fmt": text} for form, text in forms.items()},
        "handlers": {form: {**handler, "formatter": form} for form in forms},
        "loggers": {name: {"handlers": [form], "level": _level(), "propagate": False} for form, name in names.items()},
    }
