"""The flags of serving, each with an environment variable ``PIPELINE_SERVE_…`` and KServe's spelling of it."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar, cast

import click

from pipeline.graph.scalars import shown
from pipeline.graph.units import duration, size
from pipeline.graph.words import hint, later, yes_or_no

T = TypeVar("T")
_Option = Callable[[Callable[..., Any]], Callable[..., Any]]

# Flags of the contract, and of KServe, whose work is not built yet: refused by name, never ignored.
_LATER = frozenset({
    "grpc-port", "reload",
    "enable-grpc", "max-threads", "max-asyncio-workers", "configure-logging", "event-loop", "predictor-host",
    "predictor-protocol", "predictor-use-ssl", "predictor-request-timeout-seconds", "predictor-request-retries",
    "enable-predictor-health-check", "grpc-max-send-message-length", "grpc-max-receive-message-length", "protocol",
})  # fmt: skip
_KSERVE = {
    "ssl-certfile": "tls-cert", "ssl-keyfile": "tls-key", "timeout-keep-alive": "keep-alive",
    "log-config-file": "log-config",
}  # fmt: skip
_IN_SECONDS = frozenset({"timeout-keep-alive"})  # where KServe counts in bare numbers
# Where KServe takes a word that says yes or no (its strtobool), and we have a pair of flags.
_SWITCHES = {"enable-docs-url": "ui", "enable-latency-logging": "latency-log"}
_LAST_PORT = 65535
# Some mean memory by it, or a port.
_MOST_WORKERS = 512


class KserveSpelling(click.Command):
    """``--http_port`` is ``--http-port``, ``--ssl_certfile`` is ``--tls-cert``; unknown flags get one helpful line."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        known = [option[2:] for own in self.params for option in (*own.opts, *own.secondary_opts) if option[:2] == "--"]
        end = args.index("--") if "--" in args else len(args)
        return super().parse_args(ctx, [*_translated(args[:end], [*known, "help"]), *args[end:]])


def _translated(args: Sequence[str], known: Collection[str]) -> Iterator[str]:
    """The arguments with KServe's flags in our spelling. Raises click.UsageError for flags that are not there."""
    rest = iter(args)
    for argument in rest:
        if not argument.startswith("--"):
            yield argument
            continue
        flag, equals, value = argument[2:].partition("=")
        spelt = flag.replace("_", "-")
        name = _KSERVE.get(spelt, spelt)
        if name in _LATER:
            raise click.UsageError(later(f"--{flag}"))
        if name in _SWITCHES:
            yield _switch(flag, _SWITCHES[name], value if equals else next(rest, ""))
            continue
        if name not in known:
            dashed = {f"--{own}" for own in {*known, *_SWITCHES}}
            raise click.UsageError(f'there is no flag "--{flag}"{hint(f"--{name}", dashed)}')
        if spelt in _IN_SECONDS:
            equals, value = "=", value if equals else next(rest, "")
            value += "s" if value.isdecimal() else ""
        yield f"--{name}{equals}{value}"


def _switch(flag: str, name: str, word: str) -> str:
    try:
        return f"--{name}" if is_yes(word) else f"--no-{name}"
    except ValueError as error:
        raise click.UsageError(f"--{flag} {error}") from None


def workers(value: Any) -> int:
    """How many worker processes. Raises ValueError for what is no such number, and where there cannot be several."""
    text = str(value)
    if not (text.isascii() and text.isdecimal() and 1 <= int(text) <= _MOST_WORKERS):
        raise ValueError(f"{shown(text)} is no number of worker processes: 1 to {_MOST_WORKERS}")
    if int(text) > 1 and not hasattr(os, "fork"):
        raise ValueError("several workers need fork, which this system has not")
    return int(text)


def is_yes(word: str) -> bool:
    """KServe's ``strtobool``. Raises ValueError for a word that says neither."""
    yes = yes_or_no(word)
    if yes is None:
        raise ValueError(f'is true or false, not "{word}"')
    return yes


def port(value: int | str) -> int:
    """The number of a port. Raises ValueError for what is none: the system would take some of its bits."""
    try:
        number = int(value)
    except ValueError:
        number = -1
    if not 0 <= number <= _LAST_PORT:
        raise ValueError(f"a port is a number from 0 to {_LAST_PORT}, not {shown(str(value))}")
    return number


def kserve_name(name: str) -> str:
    """An option's name as KServe's flags have it: ``tls_cert`` is ``ssl_certfile``; pure."""
    theirs = {own: flag for flag, own in (*_KSERVE.items(), *_SWITCHES.items())}
    return theirs.get(name.replace("_", "-"), name).replace("-", "_")


class _Read(click.ParamType[T]):
    """What a function makes of a word, and raises ValueError where it can make nothing of it. Defaults are that
    already, or words.
    """

    def __init__(self, name: str, read: Callable[[str], T]) -> None:
        self.name = name
        self._read = read

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> T:
        if not isinstance(value, str):
            return cast(T, value)
        try:
            return self._read(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


def _line_form(form: str) -> str:
    from server.access import line_form  # noqa: PLC0415  # it knows calls and replies, and --help answers at once

    return line_form(form)


def _option(name: str, **how: Any) -> _Option:
    variable = "PIPELINE_SERVE_" + name.partition("/")[0].lstrip("-").replace("-", "_").upper()
    return click.option(name, envvar=variable, show_default=True, **how)


def _with(options: Sequence[_Option], command: Callable[..., Any]) -> Callable[..., Any]:
    """The command with these options, which its help lists in their order."""
    for option in reversed(options):
        command = option(command)
    return command


def _storage_options() -> tuple[_Option, ...]:
    return (
        _option("--cache-dir", type=click.Path(path_type=Path, file_okay=False), default=None,
                help="Where models are kept, and pass through on their way to a folder; else the user's cache."),
        _option("--cache-size", type=_Read("size", size), default=None,
                help="What the cache may hold; least used models go first."),
        _option("--offline", is_flag=True, default=False, help="Take models from the cache and ask nobody."),
    )  # fmt: skip


def cache_flags(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the flags of the cache to a command."""
    return _with(_storage_options(), command)


def pull_flags(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the flags of ``pull`` to a command."""
    options = (
        *_storage_options(),
        _option(
            "--max-unpacked", type=_Read("size", size), default="1TiB", help="Most bytes that an archive may become."
        ),
        _option("--max-members", type=click.IntRange(1), default=1_000_000, help="Most members of an archive."),
        _option("--max-ratio", type=click.FloatRange(1), default=200, help="Most bytes per byte of an archive."),
    )
    return _with(options, command)


def serve_flags(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds every flag of serving to a command, and checks those that go together."""
    time = _Read("duration", duration)
    options = (
        _option("--host", default="0.0.0.0", help="Address, IPv6 address, or unix:PATH."),  # noqa: S104  # as KServe
        _option("--http-port", type=_Read("port", port), default=8080, help="Port; 0 takes a free one."),
        _option("--workers", type=_Read("number", workers), default=1,
                help="Processes, each with all models, on one port."),
        _option("--grace", type=time, default="30s", help="What requests in flight get when the server stops."),
        _option("--drain-delay", type=time, default="0s", help="Not ready for so long before the port closes."),
        _option("--keep-alive", type=time, default="65s", help="Idle connections are closed after it."),
        _option("--max-body", type=_Read("size", size), default="64MiB", help="Largest request body."),
        _option("--ready", type=click.Choice(["all", "any", "now"]), default="all",
                help="Ready once all models, or any, have loaded; now: while all are ready, and what they count on."),
        _option("--model-repository", type=click.Path(path_type=Path, file_okay=False), default=None,
                help="Folder of models to serve: a folder each, in it a graph, a model file, or numbered versions."),
        _option("--model-name", default=None, help="Served name, in place of the graph's own (one graph only)."),
        *_storage_options(),
        _option("--log-level", type=click.Choice(["debug", "info", "warning", "error"], case_sensitive=False),
                default="info", help="Least level that is logged."),
        _option("--log-format", type=click.Choice(["text", "json"]), default="text", help="Form of log lines."),
        _option("--log-config", type=click.Path(path_type=Path, dir_okay=False, exists=True), default=None,
                help="Python's logging, set up by this file after ours (.json, .yaml, or ini)."),
        _option("--access-log/--no-access-log", default=True, help="One line per request."),
        _option("--access-log-format", type=_Read("format", _line_form), default=None,
                help="Its form, of what gunicorn knows: '%(r)s %(s)s %(L)s'."),
        _option("--access-log-rate", type=click.IntRange(1), default=500,
                help="Lines per second above which, of a kind of status, each hundredth call has one."),
        _option("--latency-log/--no-latency-log", default=False,
                help="One line per answered request with what preprocess, predict and postprocess took."),
        _option("--ui/--no-ui", default=True, help="The page /docs."),
        _option("--tls-cert", type=click.Path(path_type=Path), default=None, help="Certificate chain (PEM)."),
        _option("--tls-key", type=click.Path(path_type=Path), default=None, help="Its private key (PEM)."),
    )  # fmt: skip
    return _with(options, command)
