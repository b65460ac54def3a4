"""``/graph``: the drawing of every model; ``/graph/NAME`` and ``/graph/NAME/versions/V`` are one of them as SVG.

A large graph takes seconds to lay out: that is done once, by the first who asks, and in a thread.
"""

from __future__ import annotations

import functools
from collections.abc import Collection, Mapping
from html import escape
from urllib.parse import quote

import trio

from pipeline.graph.words import listed
from pipeline.pipeline import Pipeline
from pipeline.repository import Repository
from pipeline.wire.codec import Reply
from server.handle import Page
from server.revalidate import revalidated, slashless

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

_TOO_LARGE = """<svg xmlns="http://www.w3.org/2000/svg" width="960" height="40"><text x="8" y="26">{}</text></svg>"""


class _Drawing:
    """The drawing of one model, made when it is first asked for."""

    def __init__(self, pipeline: Pipeline) -> None:
        self.pipeline = pipeline
        self._lock = trio.Lock()
        self._text = ""

    async def text(self) -> str:
        """The SVG. Cancelled while it is drawn, it is finished all the same: who asks next would begin anew."""
        async with self._lock:
            if not self._text:
                self._text = await trio.to_thread.run_sync(_drawn, self.pipeline)
        return self._text


_Drawings = Mapping[tuple[str, str], _Drawing]


def graphs(repository: Repository) -> dict[str, Page]:
    """Path → page. Nothing is drawn yet."""
    drawings = {(own.name, own.version): _Drawing(own) for own in repository}

    found: dict[str, Page] = {"/graph": functools.partial(_page, drawings.values()), "/graph/": slashless("graph")}
    for name, version in drawings:
        found[f"/graph/{name}"] = functools.partial(_svg, repository, drawings, name, "")
        found[f"/graph/{name}/versions/{version}"] = functools.partial(_svg, repository, drawings, name, version)
    return found


async def _svg(
    repository: Repository, drawings: _Drawings, name: str, version: str, headers: Mapping[str, str]
) -> Reply:
    """Without a version that of the one that answers requests now."""
    text = await drawings[name, repository.get(name, version).version].text()
    return revalidated(text.encode(), "image/svg+xml", headers, _style())


async def _page(drawings: Collection[_Drawing], headers: Mapping[str, str]) -> Reply:
    links, sections = [], []
    for drawing in drawings:
        own = drawing.pipeline
        path = f"graph/{quote(own.name, safe='')}/versions/{quote(own.version, safe='')}"
        words = {"id": f"{own.name}-{own.version}", "name": own.name, "version": own.version, "svg": path}
        words["verbs"] = listed(own.blueprint.graph.output)
        safe = {key: escape(text) for key, text in words.items()}
        links.append(_LINK.format(**safe))
        sections.append(_SECTION.format(**safe, drawing=await drawing.text()))
    text = _PAGE.format(links="".join(links), sections="\n".join(sections))
    return revalidated(text.encode(), "text/html; charset=utf-8", headers, _style())


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
