"""Log lines: one per event, as text or as JSON, each with the request id it belongs to. To stderr."""

from __future__ import annotations

import json
import logging
import sys
import time
import traceback
from collections.abc import Callable
from contextvars import ContextVar, Token
from pathlib import Path
from typing import Any, Literal

import msgspec

from pipeline.engine.detached import log as log_detached
from pipeline.errors import InferError, ModelNotReady, told
from pipeline.graph.source import GraphFaults
from pipeline.observe import (
    DetachedDone,
    Event,
    LimitReached,
    ModelFailed,
    ModelLoaded,
    ModelNotClosed,
    ModelTurned,
    ModelUnloaded,
    RemoteTurned,
    RequestDone,
    StepWarmed,
    walls,
)
from server.access import Answered, written
from server.log_config import configure_by
from server.transfers import Tenths
from storage.events import Event as Pulled
from storage.events import Fetched
from storage.secret import scrub

Format = Literal["text", "json"]
_LOG = logging.getLogger("pipeline_serve")
_ACCESS = logging.getLogger("pipeline_serve.access")
_TRACE = logging.getLogger("pipeline_serve.trace")
_TRACED = ("preprocess", "explain", "predict", "postprocess")
# A path may have 16 KiB, and nobody reads on past a line or two.
_LONGEST_PATH = 256
_REQUEST: ContextVar[str] = ContextVar("request", default="")


def configure(level: str, form: Format, file: Path | None = None, *, several: bool = False) -> None:
    """Sets up the process's logging: ours, the libraries' and the user's, in one form; then as the user's file says.

    ``several``: it is one of several, and its lines say which.

    Raises BadLogConfig.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JsonFormatter(several) if form == "json" else _TextFormatter(several))
    handler.addFilter(_with_request)
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    # It has a line for every call and for every probe of a server that a model counts on.
    chosen = logging.getLogger().level
    calls = logging.getLogger("httpx")
    calls.setLevel(chosen if level == "debug" else max(chosen, logging.WARNING))
    calls.addFilter(_unsigned)
    # It writes headers out, and where a server sends one to: signed, more often than not.
    logging.getLogger("httpcore").setLevel(max(chosen, logging.INFO))
    logging.captureWarnings(capture=True)
    if file is not None:
        configure_by(file)


def begin(request: str) -> Token[str]:
    """From here to ``end`` every line that this task, and a thread it goes to, writes has that request id."""
    return _REQUEST.set(request)


def end(token: Token[str]) -> None:
    _REQUEST.reset(token)


def _unsigned(record: logging.LogRecord) -> bool:
    """A logger's filter: its URLs without user and query, which may be what opens them."""
    record.msg, record.args = scrub(record.getMessage()), ()
    return True


def _with_request(record: logging.LogRecord) -> bool:
    """A handler's filter: it is called in the task or thread that writes the line."""
    if not hasattr(record, "request_id"):
        record.request_id = _REQUEST.get()
    return True


def failed(request: str, what: str, error: BaseException) -> None:
    """A request ended in an error that its caller was not shown: the traceback, beside the request id they have."""
    _LOG.error("%s failed: %s", what, type(error).__name__, exc_info=error, extra={"request_id": request})


def failed_because(request: str, what: str, told: str, internals: str | None = None) -> None:
    """A request ran out of time, or ended in what another server answered: what its caller was told, and what not."""
    more = f" ({internals})" if internals else ""
    _LOG.warning("%s failed: %s%s", what, told, more, extra={"request_id": request})


def answered(event: Answered, form: str | None = None, stands_for: int = 1) -> None:
    """The access line of one call, in ``form`` where there is one; of the moment when it ended.

    Where it ``stands_for`` others that have none, it says so.
    """
    if not _ACCESS.isEnabledFor(logging.INFO):
        return
    path = event.path if len(event.path) <= _LONGEST_PATH else f"{event.path[:_LONGEST_PATH]}…"
    ms = event.seconds * 1e3
    fields: dict[str, object] = {"method": event.method, "path": path, "status": event.status}
    fields |= {"ms": round(ms, 3), "bytes": event.size}
    if not event.whole:
        fields["whole"] = False
    if stands_for > 1:
        fields["stands_for"] = stands_for
    method, path = (_visible(word.replace(" ", "\\x20")) for word in (event.method, path))
    if form is None:
        line = f"{method} {path} {event.status} {ms:.1f} ms {event.size} B"
    else:
        line = written(form, msgspec.structs.replace(event, method=method, path=path))
    line += "" if event.whole or form is not None else ", broken off"
    line += f" (1 of {stands_for})" if stands_for > 1 else ""
    extra = {"request_id": event.id, "fields": fields}
    record = _ACCESS.makeRecord(_ACCESS.name, logging.INFO, __file__, 0, "%s", (line,), None, "answered", extra)
    if event.when:
        record.created, record.msecs = event.when, event.when % 1 * 1e3
    _ACCESS.handle(record)


def latency(event: Event) -> None:
    """One line per answered request: what its phases took, with KServe's names and in its order."""
    match event:
        case RequestDone(id=request, code=None, spans=spans):
            took = {phase: (end - start) * 1e3 for phase, (start, end) in walls(spans).items()}
            _TRACE.info(
                "requestId: %s, %s",
                request, ", ".join(f"{phase}_ms: {took.get(phase, 0):.9g}" for phase in _TRACED),
                extra={"request_id": request, "fields": {f"{phase}_ms": round(took[phase], 6) for phase in took}},
            )  # fmt: skip


def observer(event: Event) -> None:
    """Writes what happens to models; requests have their access line."""
    match event:
        case RequestDone():
            # First, as most events are this one.
            return
        case ModelFailed():
            _tell_failure(event)
        case ModelLoaded(model, version, seconds):
            _LOG.info('model "%s" version %s is loaded after %.2f s', model, version, seconds)
        case ModelNotClosed(model, version, error):
            _LOG.error('model "%s" version %s failed to close: %s', model, version, told(error), exc_info=error)
        case ModelUnloaded(model, version, replaced):
            _LOG.info('model "%s" version %s is %s and closed', model, version, "replaced" if replaced else "unloaded")
        case LimitReached() | StepWarmed():
            _tell_of_step(event)
        case RemoteTurned() | ModelTurned():
            _tell_turned(event)
        case DetachedDone():
            log_detached(event)


def _tell_of_step(event: LimitReached | StepWarmed) -> None:
    match event:
        case LimitReached(model, step, limit):
            _LOG.warning(
                'requests wait for step "%s" of model "%s": a class runs %d at a time unless its step says limit',
                step, model, limit,
            )  # fmt: skip
        case StepWarmed(model, _, step, seconds, None):
            _LOG.info('model "%s": step "%s" is warm after %.2f s', model, step, seconds)
        case StepWarmed(model, _, step, seconds, reason):
            _LOG.warning(
                'model "%s": zeros did not warm up step "%s", after %.2f s: %s; warmup: FILE of a request, or false',
                model, step, seconds, reason,
            )  # fmt: skip


def _tell_turned(event: RemoteTurned | ModelTurned) -> None:
    match event:
        case RemoteTurned(model, version, step, None):
            _LOG.info('model "%s" version %s: the server that step "%s" calls is ready', model, version, step)
        case RemoteTurned(model, version, step, reason):
            _LOG.warning(
                'model "%s" version %s is not ready: the server that step "%s" calls is not: %s',
                model, version, step, reason,
            )  # fmt: skip
        case ModelTurned(model, version, step, None):
            _LOG.info('model "%s" version %s: step "%s" is healthy', model, version, step)
        case ModelTurned(model, version, step, reason):
            _LOG.warning('model "%s" version %s is not ready: step "%s": %s', model, version, step, reason)


def _tell_failure(failed: ModelFailed) -> None:
    model = f'model "{failed.model}" version {failed.version}' if failed.version else f'model "{failed.model}"'
    match failed.error:
        case GraphFaults() as faults:
            _LOG.error("%s failed to load:\n%s", model, faults)
        case InferError(internals=str() as why) as error:
            _LOG.error("%s failed to load: %s (%s)", model, told(error), why, exc_info=error)
        case ModelNotReady(message=says, __cause__=None):
            _LOG.error("%s failed to load: %s", model, says)
        case error:
            _LOG.error("%s failed to load: %s", model, told(error), exc_info=error)


def pull_log() -> Callable[[Pulled], None]:
    """Writes what is downloaded, how far it is at each tenth, how fast it was, and what the cache had."""
    tenths = Tenths()

    def tell(event: Pulled) -> None:
        line = tenths.line(event)
        if line is not None:
            fields = {"bytes": event.size, "seconds": event.seconds} if isinstance(event, Fetched) else {}
            _LOG.info("%s", line, extra={"fields": fields})

    return tell


def _visible(text: str) -> str:
    """Control characters never reach a terminal: they are written as Python writes them."""
    return text if text.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def _block(text: str) -> str:
    """One event: its first line, and the others indented, so that no text in it can pass for an event of its own."""
    return "\n  ".join(map(_visible, text.rstrip().split("\n")))


def _traceback(record: logging.LogRecord) -> str:
    error = record.exc_info[1] if record.exc_info else None
    if error is None:
        return ""
    try:
        return "".join(traceback.format_exception(error))
    except Exception:  # noqa: BLE001  # an author's error may raise at every look at it; where it came from stands apart
        frames = traceback.format_tb(BaseException.__dict__["__traceback__"].__get__(error))
        return f"{''.join(frames)}{told(error)}"


class _TextFormatter(logging.Formatter):
    def __init__(self, several: bool) -> None:
        super().__init__()
        self._several = several

    def format(self, record: logging.LogRecord) -> str:
        when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(record.created))
        request = getattr(record, "request_id", None)
        tail = f" [{request}]" if request else ""
        who = f"{record.process} {record.name}" if self._several else record.name
        line = f"{when}.{int(record.msecs):03d} {record.levelname:7} {who}: {record.getMessage()}{tail}"
        return _block(f"{line}\n{_traceback(record)}")


class _JsonFormatter(logging.Formatter):
    def __init__(self, several: bool) -> None:
        super().__init__()
        self._several = several

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if self._several:
            line["process"] = record.process
        if request := getattr(record, "request_id", None):
            line["request_id"] = request
        line |= getattr(record, "fields", {})
        if raised := _traceback(record):
            line["traceback"] = raised
        # In ASCII, so that no character of a caller reaches a terminal; JSON itself leaves DEL as it is.
        return json.dumps(line, default=str, separators=(",", ":")).replace("\x7f", "\\u007f")
