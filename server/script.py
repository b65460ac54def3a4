"""The command line of a script that serves its own models: KServe's flags in its spelling, and ours.

KServe's are written down here; ours are those of ``pipeline-serve``, with their environment variables. Nothing is read
before somebody asks.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from pipeline.predictor_config import PredictorConfig
from server.access import line_form
from server.config import Config
from server.flags import is_yes, kserve_name, port, serve_flags, workers

HTTP_PORT, HTTPS_PORT = 8080, 8443
_PROTOCOLS = ("v1", "v2", "grpc-v2")
_OF_GRPC = "Of gRPC, which is not served yet."


@dataclass(frozen=True, slots=True)
class _Flag:
    """A flag of KServe's, and what it does here."""

    name: str
    default: Any
    help: str
    type: Callable[[str], Any] = str
    choices: Sequence[str] | None = None
    variable: str = ""


def _by(read: Callable[[str], Any]) -> Callable[[str], Any]:
    """A type for argparse, which shows no other error's text."""

    def reading(text: str) -> Any:
        try:
            return read(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None
        except click.BadParameter as error:
            raise argparse.ArgumentTypeError(error.message) from None

    return reading


# Source: kserve 0.21, kserve/model_server.py: names, types and defaults.
_KSERVE = (
    _Flag("http_port", HTTP_PORT, f"Port; {HTTPS_PORT} where there are a certificate and no other port.", _by(port)),
    _Flag("grpc_port", 8081, _OF_GRPC, _by(port)),
    _Flag("workers", 1, "Processes, each with all models, on one port.", _by(workers)),
    _Flag("max_threads", 4, _OF_GRPC, int),
    _Flag("max_asyncio_workers", None, "No effect, as in KServe: the limit of a step bounds its threads.", int),
    _Flag("enable_grpc", True, "gRPC, which is not served yet: the log says so.", _by(is_yes)),
    _Flag("enable_docs_url", False, "The page /docs.", _by(is_yes)),
    _Flag("enable_latency_logging", True, "One line per answered request with what its hooks took.", _by(is_yes)),
    _Flag("configure_logging", True, "Set up logging, unless the script has.", _by(is_yes)),
    _Flag("log_config_file", None, "Python's logging, set up by this file (.json, .yaml, or ini)."),
    _Flag("access_log_format", None, "Form of the access line: '%(r)s %(s)s %(L)s'.", _by(line_form)),
    _Flag("event-loop", "auto", "No effect, as in KServe with one worker.", choices=("auto", "asyncio", "uvloop")),
    _Flag("timeout-keep-alive", 65, "Seconds after which an idle connection is closed.", int),
    _Flag("model_name", "model", "For the script: its model's name."),
    _Flag("predictor_host", None, "The server that transformers ask."),
    _Flag("protocol", "v1", "No effect, as in KServe: see --predictor_protocol.", choices=_PROTOCOLS),
    _Flag("predictor_protocol", "v1", "How they ask it.", choices=_PROTOCOLS),
    _Flag("predictor_use_ssl", False, "Whether they ask it over TLS.", _by(is_yes)),
    _Flag("predictor_request_timeout_seconds", 600, "How long they wait for its answer.", int),
    _Flag("grpc_max_send_message_length", 8 << 20, _OF_GRPC, int),
    _Flag("grpc_max_receive_message_length", 8 << 20, _OF_GRPC, int),
    _Flag("predictor_request_retries", 0, "How often they try again to connect.", int),
    _Flag("ssl_certfile", None, "Certificate chain (PEM).", variable="KSERVE_TLS_CERT_FILE"),
    _Flag("ssl_keyfile", None, "Its private key (PEM).", variable="KSERVE_TLS_KEY_FILE"),
)
_LEVEL = "KSERVE_LOGLEVEL"
# What says where models come from is for who has no script.
_NOT_HERE = frozenset({"model_repository"})


class _Option(argparse.Action):
    """An option that gives way to another of its name: a script's parser may have ours as its parent."""

    def __init__(self, option_strings: Sequence[str], dest: str, **how: Any) -> None:
        super().__init__(option_strings, dest, **how)
        self._spelt = tuple(option_strings)

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, flag: str | None = None
    ) -> None:
        setattr(namespace, self.dest, self.const if self.nargs == 0 else values)

    @property
    def container(self) -> Any:
        """The group that argparse has put it into, of the parser that was made last."""
        return self._container

    @container.setter
    def container(self, group: Any) -> None:
        """Parent and children share their options, so what it gave way to in one child is there again in the next."""
        self._container = group
        self.option_strings = list(self._spelt)
        group.conflict_handler = "resolve"


def make_parser(environment: Mapping[str, str]) -> argparse.ArgumentParser:
    """A parser to be the parent of a script's own, which may define an option of ours again: it has its own then.

    What ``environment`` says is a default. Where that cannot be read, the process ends, as with a flag.
    """
    parser = argparse.ArgumentParser(
        add_help=False, allow_abbrev=False, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    ours = _our_options()
    try:
        own = _defaults(ours, environment)
    except (click.UsageError, ValueError) as error:
        parser.error(error.format_message() if isinstance(error, click.UsageError) else str(error))
    for flag in _KSERVE:
        dest = flag.name.replace("-", "_")
        parser.add_argument(
            f"--{flag.name}", action=_Option, dest=dest, type=flag.type, choices=flag.choices,
            default=own.get(dest, environment.get(flag.variable, flag.default)),
            help=_argparse_help(flag.help, flag.variable),
        )  # fmt: skip
    parser.add_argument(
        "--enable_predictor_health_check", action=_Option, nargs=0, const=True, default=False,
        help="Ready only while the predictor is.",
    )  # fmt: skip
    theirs = {f"--{flag.name}" for flag in _KSERVE}
    for option in ours.params:
        if option.name in _NOT_HERE:
            continue
        for spellings, how in _spelt(option):
            if fresh := [spelling for spelling in spellings if spelling not in theirs]:
                default = own.get(how["dest"], argparse.SUPPRESS)
                parser.add_argument(*fresh, action=_Option, default=default, **how)
    return parser


def parse(arguments: Sequence[str], environment: Mapping[str, str]) -> argparse.Namespace:
    """What a command line says. Flags that are not known here are the script's own."""
    return make_parser(environment).parse_known_args(arguments)[0]


def config_of(flags: argparse.Namespace) -> Config:
    """The settings of a server whose models come from no file."""
    settings: dict[str, Any] = {own.name: getattr(flags, kserve_name(own.name), None) for own in fields(Config)}
    for name in ("tls_cert", "tls_key", "log_config"):
        settings[name] = Path(settings[name]) if settings[name] else None
    return Config(**{**settings, "graphs": (), "model_name": None})


def predictor_of(flags: argparse.Namespace) -> PredictorConfig:
    """The server that transformers ask, as the flags have it."""
    return PredictorConfig(
        flags.predictor_host,
        flags.predictor_protocol,
        flags.predictor_use_ssl,
        flags.predictor_request_timeout_seconds,
        flags.predictor_request_retries,
        flags.enable_predictor_health_check,
    )


def _our_options() -> click.Command:
    @click.command(add_help_option=False)
    @serve_flags
    def script(**_: Any) -> None:
        """Never run: its options are what is of use."""

    return script


def _defaults(ours: click.Command, environment: Mapping[str, str]) -> dict[str, Any]:
    """Of our own options by KServe's name for them: what variables say, and where KServe has no word, our defaults.

    Raises click.UsageError and ValueError for a variable that cannot be read.
    """
    context = ours.make_context("script", [])
    theirs = {flag.name.replace("-", "_") for flag in _KSERVE}
    found: dict[str, Any] = {}
    for name, value in context.params.items():
        if context.get_parameter_source(name) is ParameterSource.ENVIRONMENT or kserve_name(name) not in theirs:
            found[kserve_name(name)] = value
    if context.get_parameter_source("log_level") is ParameterSource.DEFAULT and _LEVEL in environment:
        found["log_level"] = _level(environment[_LEVEL])
    return found


def _level(word: str) -> str:
    """Our level for one of Python's. Raises ValueError."""
    number = logging.getLevelNamesMapping().get(word.upper())
    if number is None:
        raise ValueError(f'{_LEVEL} is a level of Python\'s logging, such as INFO, not "{word}"')
    levels = {logging.DEBUG: "debug", logging.INFO: "info", logging.WARNING: "warning"}
    return next((own for least, own in levels.items() if number <= least), "error")


def _spelt(option: click.Parameter) -> Iterator[tuple[list[str], dict[str, Any]]]:
    """An option of ours as argparse has it, with dashes and with underscores; a pair of switches is two."""
    how: dict[str, Any] = {"dest": kserve_name(str(option.name))}
    if isinstance(option, click.Option):
        how["help"] = _argparse_help(option.help or "", "")
    if option.secondary_opts or getattr(option, "is_flag", False):
        yield _spellings(option.opts), {**how, "nargs": 0, "const": True}
        if option.secondary_opts:
            yield _spellings(option.secondary_opts), {**how, "nargs": 0, "const": False, "help": argparse.SUPPRESS}
    else:
        yield _spellings(option.opts), {**how, "type": _by(lambda text: option.type.convert(text, None, None))}


def _spellings(strings: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(spelt for own in strings for spelt in (own, f"--{own[2:].replace('-', '_')}")))


def _argparse_help(text: str, variable: str) -> str:
    return text.replace("%", "%%") + (f" Else ${variable}." if variable else "")
