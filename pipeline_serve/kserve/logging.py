"""KServe's loggers, and their set-up by its rules."""

from __future__ import annotations

import logging
import logging.config
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

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


def configure_logging(log_config: Mapping[str, Any] | str | os.PathLike[str] | None = None) -> None:
    """KServe's lines on stderr; or what a dictionary, a ``.json``, ``.yaml`` or any other (ini) file says.

    Without a configuration, one that is there stays as it is. ``KSERVE_LOGLEVEL`` in the environment is the level.
    """
    if log_config is None:
        if not logger.hasHandlers():
            logging.config.dictConfig(_own(os.environ.get("KSERVE_LOGLEVEL", "INFO").upper()))
        return
    if isinstance(log_config, Mapping):
        logging.config.dictConfig(dict(log_config))
        return
    file_config(Path(log_config))


def _own(level: str) -> dict[str, Any]:
    forms = {"kserve": KSERVE_LOGGER_FORMAT, "kserve_trace": KSERVE_TRACE_LOGGER_FORMAT}
    names = {"kserve": KSERVE_LOGGER_NAME, "kserve_trace": KSERVE_TRACE_LOGGER_NAME}
    handler = {"class": "logging.StreamHandler", "stream": "ext://sys.stderr"}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {form: {"format": text, "datefmt": KSERVE_LOGGER_DATE_FORMAT} for form, text in forms.items()},
        "handlers": {form: {**handler, "formatter": form} for form in forms},
        "loggers": {name: {"handlers": [form], "level": level, "propagate": False} for form, name in names.items()},
    }
