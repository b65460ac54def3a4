"""Paths of the protocols: a route's template as a pattern, and what a URL's path asks another server for; pure."""

from __future__ import annotations

import re
from urllib.parse import unquote

import msgspec

from pipeline.tensors.message import Verb
from pipeline.wire.codec import Codec, codecs

LATER_SCHEMES = frozenset({"grpc", "grpcs"})
"""Schemes of URLs whose protocol the contract knows and no codec speaks yet."""
EXAMPLES = ("http://host:8080/v2/models/iris/infer", "http://host:8080/v1/models/iris:predict")
"""URLs that ask a server for inference, for people."""
# One character that clients and people escape though a path may have it.
_COLON = re.compile("%3A", re.IGNORECASE)


class Asked(msgspec.Struct, frozen=True, eq=False):
    """What a path asks for: the protocol by its ``codec``, a model (decoded) and the verb that it is run for.

    ``prefix`` is what stands before the protocol's own path, as a gateway has it; as it came, and empty for none.
    """

    prefix: str
    codec: Codec
    verb: Verb
    model: str
    version: str


def pattern(template: str) -> re.Pattern[str]:
    """Matches the paths of a route, its ``{model}`` and ``{version}`` as groups; neither holds a slash."""
    return re.compile(_regex(template))


def asked_by(path: str) -> Asked | None:
    """What a path, percent-encoded, asks a model for by its end; None where it is the path of no verb.

    A slash at the end is none, as on our own server.
    """
    path = _COLON.sub(":", path).rstrip("/")
    for codec in codecs().values():
        for route in codec.ROUTES:
            if route.verb is None:
                continue
            found = re.fullmatch(f"(?P<prefix>.*?){_regex(route.template)}", path)
            if found is not None:
                names = found.groupdict()
                model, version = unquote(names["model"]), unquote(names.get("version") or "")
                return Asked(names["prefix"], codec, route.verb, model, version)
    return None


def asking_paths() -> tuple[str, ...]:
    """The ends that ``asked_by`` knows, for people: ``/…/models/MODEL:predict``."""
    templates = (route.template for codec in codecs().values() for route in codec.ROUTES if route.verb is not None)
    return tuple(re.sub(r"\{(\w+)\}", lambda name: name[1].upper(), template) for template in templates)


def url_pattern() -> str:
    """Matches the URLs, of http and https, that ask a model for inference: ECMA-262, for a JSON Schema."""
    # A model's name has no slash, escaped or not.
    name, colon = r"([^/\s?#%]|%(?!2[Ff]))+", "(:|%3[Aa])"
    templates = [route.template for codec in codecs().values() for route in codec.ROUTES if route.verb is not None]
    ends = "|".join(re.sub(r"\{\w+\}", lambda _: name, own.replace(":", colon)) for own in templates)
    server = r"([^\s/?#]*@)?(\[[^\]\s/?#]+\]|[^\s/?#:@\[\]]+)(:[0-9]*)?"
    return rf"^[Hh][Tt][Tt][Pp][Ss]?://{server}(/[^\s?#]*)?({ends})/*$"


def _regex(template: str) -> str:
    parts = re.split(r"\{(\w+)\}", template)
    return "".join(re.escape(part) if n % 2 == 0 else f"(?P<{part}>[^/]+)" for n, part in enumerate(parts))
