"""The pages about the server: ``/graph``; ``/openapi.json``; and ``/docs``, which asks that and can send what it shows.

The assets are ours and ship in the package; nothing refers to another origin, and the page may speak to its own alone.
What makes the document is imported by the first GET.
"""

from __future__ import annotations

import functools
import weakref
from collections.abc import Mapping
from types import MappingProxyType

from pipeline.repository import Repository
from pipeline.wire.codec import Reply
from pipeline.wire.json_tensors import dump
from server.examples import beside
from server.graphs import graphs
from server.revalidate import revalidated, slashless
from server.service import FindPage, Page

_HTML = "text/html; charset=utf-8"
ASSETS: Mapping[str, tuple[str, str]] = {
    "/docs": ("docs.html", _HTML),
    "/docs/docs.css": ("docs.css", "text/css; charset=utf-8"),
    "/docs/docs.js": ("docs.js", "text/javascript; charset=utf-8"),
    "/docs/json.js": ("json.js", "text/javascript; charset=utf-8"),
    "/docs/icon.svg": ("icon.svg", "image/svg+xml"),
}
"""Path → (file of ``server/page/``, content type)."""


def pages(
    repository: Repository, others: Mapping[str, Page] = MappingProxyType({}), *, title: str, version: str, ui: bool
) -> FindPage:
    """Path → page, with ``others`` beside its own. Makes nothing yet."""
    fixed: dict[str, Page] = {**others, "/openapi.json": _Described(repository, title, version)}
    if not ui:
        return fixed.get
    fixed |= {path: functools.partial(_asset, *asset) for path, asset in ASSETS.items()}
    fixed["/docs/"] = slashless("docs")
    drawn = graphs(repository)
    return lambda path: fixed.get(path) or drawn(path)


class _Described:
    """``/openapi.json``: made by the first GET, and anew by the first after a model has changed."""

    def __init__(self, repository: Repository, title: str, version: str) -> None:
        self._repository = repository
        self._make = functools.partial(_document, repository, title, version)
        self._of: object = None
        self._body = b""

    def __call__(self, headers: Mapping[str, str]) -> Reply:
        # One that has taken another's place may have other requests beside it.
        now = [(weakref.ref(own), own.state, own.failure, own.expectation) for own in self._repository]
        if now != self._of:
            self._body, self._of = self._make(), now
        return revalidated(self._body, "application/json", headers)


def _document(repository: Repository, title: str, version: str) -> bytes:
    """With the requests that lie beside the graphs."""
    from server.openapi import document  # noqa: PLC0415  # most servers are never asked

    written = {(model.name, model.version): tuple(beside(model.blueprint.home.folder).values()) for model in repository}
    return dump(document(repository, title=title, version=version, examples=written))


def _asset(name: str, content_type: str, headers: Mapping[str, str]) -> Reply:
    return revalidated(_read(name), content_type, headers)


@functools.cache
def _read(name: str) -> bytes:
    from importlib import resources  # noqa: PLC0415  # milliseconds

    return (resources.files("server") / "page" / name).read_bytes()
