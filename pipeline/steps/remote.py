"""What a ``call`` step says of the server it calls: URL, params and headers, read and checked. Connects to nobody."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import SplitResult, urlsplit

from pipeline.asking import HEADER_NAME, named, unforwardable
from pipeline.errors import InvalidInput
from pipeline.graph.json_schema import or_variable
from pipeline.graph.source import Fault
from pipeline.graph.spec import StepSpec
from pipeline.graph.units import size
from pipeline.graph.words import later, listed, meant
from pipeline.steps.catalog import Home
from pipeline.steps.forwarding import TRACE
from pipeline.tensors.shown import kind, quoted
from pipeline.wire.codec import REQUEST_ID_HEADER
from pipeline.wire.paths import EXAMPLES, LATER_SCHEMES, Asked, asked_by, asking_paths, url_pattern

if TYPE_CHECKING:
    from pipeline.exchange import Cert, Peer

T = TypeVar("T")

FORWARDED = (*TRACE, REQUEST_ID_HEADER)
"""The headers of a request that travel where the step does not say which."""
_OF_TLS = ("ca", "cert", "key", "verify")
_ANSWERS = ("tensors", "json")
# As the client's: no answer is that large, and what is has no end.
_MAX_REPLY = "1GiB"


def words() -> Mapping[str, Any]:
    """The words of a ``call`` step, each as JSON Schema."""
    truth = {"type": "boolean"}
    url = {"type": "string", "pattern": url_pattern(), "examples": EXAMPLES}
    header = or_variable({"type": "string", "pattern": HEADER_NAME})
    return {
        "call": or_variable({**url, "description": "Another server's URL for inference, of any of its protocols"}),
        "params": {
            "type": "object",
            "description": "How it is asked",
            "additionalProperties": False,
            "properties": _params(),
            "dependentRequired": {"key": ["cert"]},
            "not": {"required": ["ca", "verify"], "properties": {"verify": {"const": False}}},
        },
        "forward": {
            "type": "array",
            "items": header,
            "description": "Headers of the request that travel along; authorization only where it is named",
        },
        "ready": or_variable({**truth, "default": False, "description": "Ready only while the remote is"}),
    }


def _params() -> Mapping[str, Any]:
    """The params there are, and no others."""
    file = {"type": "string", "minLength": 1}
    truth = {"type": "boolean"}
    return {
        "answer": or_variable(
            {
                "enum": list(_ANSWERS),
                "description": "json: always the JSON that came, where the protocol answers in JSON",
                "default": _ANSWERS[0],
            }
        ),
        "binary": or_variable({**truth, "description": "Tensors as raw bytes; by default where they can"}),
        "ca": {**file, "description": "PEM file, or folder, of the authorities that are trusted"},
        "cert": {**file, "description": "PEM file of the client's certificate"},
        "key": {**file, "description": "PEM file of the certificate's key"},
        "max_reply": {"$ref": "#/$defs/size", "description": "The largest answer that is read", "default": _MAX_REPLY},
        "verify": or_variable({**truth, "description": "Whether the server's certificate is checked"}),
    }


@dataclass(frozen=True, slots=True)
class Remote:
    """A server and what it is asked. ``base`` may hold a user and a password: it is never shown.

    ``where`` is its URL as it was written, but for these. ``as_json``: an answer is the JSON that came, whatever it is.
    ``verify``, ``ca`` and ``cert`` as ``Peer`` takes them. ``forward``: names of headers in lower case.
    """

    base: str
    where: str
    asked: Asked
    as_json: bool
    binary: bool
    verify: bool
    ca: str | None
    cert: Cert | None
    max_reply: int
    forward: tuple[str, ...]
    ready: bool

    def peer(self, connections: int | None) -> Peer:
        """The connections to it, closed still."""
        from pipeline.exchange import Peer  # noqa: PLC0415  # httpx, which few graphs need

        return Peer(
            self.base,
            verify=self.verify,
            ca=self.ca,
            cert=self.cert,
            connections=connections,
            max_reply=self.max_reply,
        )


def remote_of(step: StepSpec, home: Home, faults: list[Fault]) -> Remote | None:
    """The server that the step calls; what is wrong is appended to ``faults``. None where the URL tells none."""
    read = _Reader(step, home, faults)
    url = read.tried("call", lambda: _server(step.target))
    asked = read.tried("call", lambda: _asked(url)) if url else None
    params = read.params()
    speaks_binary = asked is not None and _has_binary(asked)
    binary = read.truth(params, "binary", default=speaks_binary)
    if asked and binary and not speaks_binary:
        read.fault("params.binary", "binary does not go with this URL, whose protocol is JSON; leave it out")
    as_json = read.tried("params.answer", lambda: _as_json(params, asked)) or False
    verify, ca, cert = read.tls(params, secure=url is None or url.scheme == "https")
    most = read.tried("params.max_reply", lambda: _most(params)) or size(_MAX_REPLY)
    forward = read.tried("forward", lambda: _forwarded(step.option("forward"))) or FORWARDED
    ready = read.truth({"ready": step.option("ready", False)}, "ready", default=False, of="")
    if url is None or asked is None:
        return None
    if url.username is not None and "authorization" in forward:
        read.fault("forward", "forward names authorization, and the URL has a user of its own; leave one of them out")
    base = f"{url.scheme}://{url.netloc}{asked.prefix}"
    where = f"{url.scheme}://{url.netloc.rpartition('@')[2]}{url.path}"
    return Remote(base, where, asked, as_json, binary, verify, ca, cert, most, forward, ready)


# ---- what a key says; each raises ValueError or InvalidInput with the reason


def _server(text: Any) -> SplitResult:
    """The URL where it is one of a server. It may hold a password: no message holds the whole of it."""
    like = f"call is a URL like http://host:8080{asking_paths()[0]}"
    if not isinstance(text, str):
        raise ValueError(f"{like}, not {kind(text)}")
    if any(letter.isspace() or not letter.isprintable() for letter in text):
        raise ValueError(f"{like}, without spaces")
    scheme = text.partition(":")[0].lower()
    if scheme in LATER_SCHEMES:
        raise ValueError(later(f"call {scheme}://…"))
    if not text.lower().startswith(("http://", "https://")):
        raise ValueError(f"{like}, over http or https")
    from pipeline.exchange import Peer  # noqa: PLC0415  # as above

    try:
        url = urlsplit(text)
        Peer(f"{url.scheme}://{url.netloc.rpartition('@')[2]}")
    except ValueError:
        raise ValueError(f"{like}; this one names no server") from None
    if not _has_port(url):
        raise ValueError(f"{like}; a port is a number from 1 to 65535")
    if "?" in text or "#" in text:
        raise ValueError('a call has neither "?" nor "#": what is asked stands in the request')
    return url


def _has_port(url: SplitResult) -> bool:
    """Whether its port is one that a server can have, where it names one."""
    try:
        return url.port != 0
    except ValueError:
        return False


def _asked(url: SplitResult) -> Asked:
    asked = asked_by(url.path)
    if asked is None:
        path = quoted(url.path) if url.path.strip("/") else "no path"
        raise ValueError(f"the URL of a call ends in one of {listed(asking_paths())}; this one has {path}")
    named(asked.model, asked.version)
    return asked


def _has_binary(asked: Asked) -> bool:
    codec = asked.codec
    return bool(codec.preferring(True) != codec.preferring(False))


def _as_json(params: Mapping[str, Any], asked: Asked | None) -> bool:
    form = params.get("answer", _ANSWERS[0])
    if form not in _ANSWERS:
        raise ValueError(
            f"answer is {' or '.join(_ANSWERS)}, not {quoted(form) if isinstance(form, str) else kind(form)}"
        )
    if "answer" in params and asked is not None and not asked.codec.UNNAMED:
        raise ValueError("answer does not go with this URL, whose protocol answers in tensors; leave it out")
    return bool(form == "json")


def _most(params: Mapping[str, Any]) -> int:
    try:
        most = size(str(params.get("max_reply", _MAX_REPLY)))
    except ValueError as error:
        raise ValueError(f"max_reply: {error}") from None
    if most < 1:
        raise ValueError("max_reply is more than 0")
    return most


def _forwarded(names: Any) -> tuple[str, ...]:
    """In lower case, with the id of the request, which is in every log line of both servers."""
    if names is None:
        return FORWARDED
    if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
        raise ValueError("forward is a list of the names of headers, like [traceparent, authorization]")
    for name in names:
        if reason := unforwardable(name.lower()):
            raise ValueError(f"forward cannot name {quoted(name)}: {reason}")
    return tuple(dict.fromkeys((*(name.lower() for name in names), REQUEST_ID_HEADER)))


class _Reader:
    """Reads one step's keys; what is wrong with one is told where it stands."""

    def __init__(self, step: StepSpec, home: Home, faults: list[Fault]) -> None:
        self._step = step
        self._home = home
        self._faults = faults

    def fault(self, key: str, message: str) -> None:
        self._faults.append(Fault(self._step.at(key), f'step "{self._step.name}": {message}'))

    def tried(self, key: str, read: Callable[[], T]) -> T | None:
        """What ``read`` reads, None where that is a fault of the key."""
        try:
            return read()
        except (ValueError, InvalidInput) as error:
            self.fault(key, str(error))
            return None

    def params(self) -> Mapping[str, Any]:
        params, known = self._step.option("params", {}), _params()
        if not isinstance(params, Mapping):
            self.fault("params", f"params is a map with the keys {listed(known)}")
            return {}
        for name in params:
            if name not in known:
                self.fault(f"params.{name}", f'a call has no parameter "{name}"{meant(name, known)}')
        return params

    def truth(self, values: Mapping[str, Any], name: str, *, default: bool, of: str = "params.") -> bool:
        value = values.get(name, default)
        if isinstance(value, bool):
            return value
        self.fault(f"{of}{name}", f"{name} is true or false, not {kind(value)}")
        return default

    def tls(self, params: Mapping[str, Any], *, secure: bool) -> tuple[bool, str | None, Cert | None]:
        given = [name for name in _OF_TLS if name in params]
        if given and not secure:
            about = "are" if len(given) > 1 else "is"
            self.fault(f"params.{given[0]}", f"{listed(given)} {about} about https, and the URL is one of http")
        ca, cert, key = (self._file(params, name) for name in ("ca", "cert", "key"))
        verify = self.truth(params, "verify", default=True)
        if "ca" in params and not verify:
            self.fault("params.verify", "verify: false checks no certificate, and ca says by whom; leave one out")
        if "key" in params and "cert" not in params:
            self.fault("params.key", "key goes with cert, the certificate that it belongs to")
        # An empty password: a key that needs one is refused, instead of asking for it on a terminal.
        return verify, ca, (cert, key or cert, "") if cert else None

    def _file(self, params: Mapping[str, Any], name: str) -> str | None:
        if name not in params:
            return None
        value = params[name]
        if not isinstance(value, str) or not value:
            self.fault(f"params.{name}", f"{name} is the path of a PEM file, not {kind(value)}")
            return None
        path = self._home.folder / value
        if not (path.is_file() or (name == "ca" and path.is_dir())):
            self.fault(f"params.{name}", f'{name}: there is no file "{value}"')
            return None
        return str(path)
