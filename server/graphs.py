"""``/graph``: the drawing of every model; ``/graph/NAME`` and ``/graph/NAME/versions/V`` are one of them as SVG.

A large graph takes seconds to lay out: that is done once, by the first who asks, and in a thread.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from html import escape
from urllib.parse import quote
from weakref import WeakKeyDictionary

import trio

from pipeline.errors import ModelNotFound
from pipeline.graph.words import listed
from pipeline.pipeline import Pipeline
from pipeline.repository import Repository
from pipeline.wire.codec import Reply
from server.revalidate import revalidated, slashless
from server.service import FindPage, Page

_PAGE = """\
<!doctype html>
<html lang="en">
<head>
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <meta name="color-scheme" content="light dark">
  <title>Graphs</title>
  <link rel="icon" href="docs/icon.svg" type="image/svg+xml">
  <link rel="stylesheet" href="docs/docs.css">
</head>
<body>
  <a class="skip" href="#main">Skip to the graphs</a>
  <header>
    <h1><img src="docs/icon.svg" alt="" width="22" height="22"><span id="title">Graphs</span></h1>
    <a href="docs">docs</a>
  </header>
  <nav aria-label="Models"><ul>{links}</ul></nav>
  <main id="main" tabindex="-1">
{sections}
  </main>
</body>
</html>
"""
_LINK = """<li><a href="#{id}">{name} <span class="version">{version}</span></a></li>"""
_SECTION = """\
    <section id="{id}">
      <h2>{name} <span class="version">version {version}</span></h2>
      <p class="quiet">Answers {verbs}. <a href="{svg}">SVG</a></p>
      <div class="scroll drawing" tabindex="0" role="group" aria-label="Drawing of {name}">{drawing}</div>
    </section>"""

_ONE = re.compile(r"/graph/(?P<name>[^/]+)(?:/versions/(?P<version>[^/]+))?")
_TOO_LARGE = """<svg xmlns="http://www.w3.org/2000/svg" width="960" height="40"><text x="8" y="26">{}</text></svg>"""


class _Drawing:
    """The drawing of one model, made when it is first asked for."""

    def __init__(self) -> None:
        self._lock = trio.Lock()
        self._text = ""

    async def text(self, pipeline: Pipeline) -> str:
        """The SVG. Cancelled while it is drawn, it is finished all the same: who asks next would begin anew."""
        async with self._lock:
            if not self._text:
                self._text = await trio.to_thread.run_sync(_drawn, pipeline, limiter=trio.CapacityLimiter(1))
        return self._text


class _Graphs:
    """What there is to see of the models that are there when somebody looks; of those that are gone nothing is kept."""

    def __init__(self, repository: Repository) -> None:
        self._repository = repository
        self._drawings: WeakKeyDictionary[Pipeline, _Drawing] = WeakKeyDictionary()
        self._fixed: Mapping[str, Page] = {"/graph": self._page, "/graph/": slashless("graph")}

    def find(self, path: str) -> Page | None:
        """Raises ModelNotReady for a model that is being loaded, or could not be."""
        found = _ONE.fullmatch(path)
        if found is None:
            return self._fixed.get(path)
        try:
            # Without a version that of the one that answers requests now.
            return functools.partial(self._svg, self._repository.get(found["name"], found["version"] or ""))
        except ModelNotFound:
            return None

    async def _svg(self, pipeline: Pipeline, headers: Mapping[str, str]) -> Reply:
        return revalidated((await self._text(pipeline)).encode(), "image/svg+xml", headers, _style())

    async def _page(self, headers: Mapping[str, str]) -> Reply:
        links, sections = [], []
        for own in tuple(self._repository):
            path = f"graph/{quote(own.name, safe='')}/versions/{quote(own.version, safe='')}"
            words = {"id": f"{own.name}-{own.version}", "name": own.name, "version": own.version, "svg": path}
            words["verbs"] = listed(own.blueprint.graph.output)
            safe = {key: escape(text) for key, text in words.items()}
            links.append(_LINK.format(**safe))
            sections.append(_SECTION.format(**safe, drawing=await self._text(own)))
        text = _PAGE.format(links="".join(links), sections="\n".join(sections))
        return revalidated(text.encode(), "text/html; charset=utf-8", headers, _style())

    async def _text(self, pipeline: Pipeline) -> str:
        return await self._drawings.setdefault(pipeline, _Drawing()).text(pipeline)


def graphs(repository: Repository) -> FindPage:
    """Path → page. Nothing is drawn yet."""
    return _Graphs(repository).find


def _drawn(pipeline: Pipeline) -> str:
    from pipeline.drawing.catalog import drawn  # noqa: PLC0415  # most servers are never asked
    from pipeline.drawing.layers import TooLarge  # noqa: PLC0415

    try:
        return drawn(pipeline.blueprint.graph, pipeline.blueprint.interfaces, "svg")
    except TooLarge as error:
        return _TOO_LARGE.format(escape(str(error)))


def _style() -> str:
    from pipeline.drawing.svg import style  # noqa: PLC0415

    return style()
