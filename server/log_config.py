"""Logging as a file of the user's says: Python's dictConfig in JSON or YAML, or its ini form."""

from __future__ import annotations

import json
from pathlib import Path


class BadLogConfig(Exception):
    """There is no such file, or it says nothing that logging understands; the text is one line that names it."""


def configure_by(file: Path) -> None:
    """As ``file_config``, for a file that a flag names. Raises BadLogConfig, whatever is wrong with it."""
    if not file.is_file():
        raise BadLogConfig(f"--log-config (--log_config_file): there is no file {file}")
    try:
        file_config(file)
    except Exception as error:
        reason = str(error.__cause__ or error).strip().split("\n")[0]
        raise BadLogConfig(f"{file} is no configuration of logging: {type(error).__name__}: {reason}") from error


def file_config(file: Path) -> None:
    """Sets up the loggers that the file names; the others stay as they are unless it says so.

    Raises whatever the file leads to: it makes objects of any class that it names.
    """
    match file.suffix:
        case ".json":
            _dict_config(json.loads(file.read_text(encoding="utf-8")))
        case ".yaml" | ".yml":
            from ruamel.yaml import YAML  # noqa: PLC0415  # who has no such file need not wait for it

            yaml = YAML(typ="safe", pure=True)
            yaml.version = (1, 1)  # where `no` is false, as in every such file
            _dict_config(yaml.load(file.read_text(encoding="utf-8")))
        case _:
            import logging.config  # noqa: PLC0415  # who has no such file need not wait for it either

            logging.config.fileConfig(file, disable_existing_loggers=False)


def _dict_config(settings: object) -> None:
    if not isinstance(settings, dict):
        raise TypeError("it is a mapping, with version: 1")
    import logging.config  # noqa: PLC0415  # as above

    logging.config.dictConfig({"disable_existing_loggers": False, **settings})
