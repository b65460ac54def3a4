"""The pages about the server: ``/graph``; ``/openapi.json``; and ``/docs``, which asks that and can send what it shows.

The assets are ours and ship in the package; nothing refers to another origin, and the page may speak to its own alone.
What makes the document is imported by the first GET.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping

from pipeline.repository import Repository
from pipeline.wire.codec import Reply
from pipeline.wire.json_tensors import dump
from server.examples import beside
from server.graphs import graphs
from server.handle import Page
from server.revalidate import revalidated, slashless

_HTML = "text/html; charset=utf-8"
ASSETS: Mapping[str, tuple[str, str]] = {
    "/docs": ("docs.html", _HTML),
    "/docs/docs.css": ("docs.css", "text/css; charset=utf-8"),
    "/docs/docs.js": ("docs.js", "text/javascript; charset=utf-8"),
    "/docs/json.js": ("json.js", "text/javascript; charset=utf-8"),
    "/docs/icon.svg": ("icon.svg", "image/svg+xml"),
}
"""Path → (file of ``server/page/``, content type)."""
Examples = Mapping[tuple[str, str], tuple[bytes, ...]]


def pages(repository: Repository, *, title: str, version: str, ui: bool) -> dict[str, Page]:
    """Path → page. Reads the requests that lie beside the graphs, and nothing else yet."""
    written = {(model.name, model.version): tuple(beside(model.blueprint.home.folder).values()) for model in repository}
    found: dict[str, Page] = {"/openapi.json": _Described(repository, title, version, written)}
    if ui:
        found |= {path: functools.partial(_asset, *asset) for path, asset in ASSETS.items()}
        found["/docs/"] = slashless("docs")
        found |= graphs(repository)
    return found


class _Described:
    """``/openapi.json``: made by the first GET, and anew by the first after a model has changed."""

    def __init__(self, repository: Repository, title: str, version: str, examples: Examples) -> None:
        self._repository = repository
        self._make = functools.partial(_document, repository, title, version, examples)
        self._of: object = None
        self._body = b""

    def __call__(self, headers: Mapping[str, str]) -> Reply:
        now = [(own.name, own.version, own.state, own.failure, own.expectation) for own in self._repository]
        if now != self._of:
            self._body, self._of = self._make(), now
        return revalidated(self._body, "application/json", headers)


def _document(repository: Repository, title: str, version: str, examples: Examples) -> bytes:
    from server.openapi import document  # noqa: PLC0415  # most servers are never asked

    return dump(document(repository, title=title, version=version, examples=examples))


def _asset(name: str, content_type: str, headers: Mapping[str, str]) -> Reply:
    return revalidated(_read(name), content_type, headers)


@functools.cache
def _read(name: str) -> bytes:
    from importlib import resources  # noqa: PLC0415  # milliseconds

    return (resources.files("server") / "page" / name).read_bytes()
