"""DOT, for Graphviz and what reads its language: https://graphviz.org/doc/info/lang.html"""

from __future__ import annotations

from collections.abc import Iterator

from pipeline.drawing.measure import clipped
from pipeline.drawing.palette import FILLS
from pipeline.drawing.picture import ANSWER, SOURCE, Card, Link, Picture
from pipeline.graph.spec import REQUEST

ENDINGS = (".dot", ".gv")

_MOST = 60
_PLAIN = "#eeeeee"


def write(picture: Picture) -> str:
    """The picture as one digraph; Graphviz lays it out."""
    return "\n".join(_lines(picture)) + "\n"


def _lines(picture: Picture) -> Iterator[str]:
    yield f"digraph {_quoted(picture.name)} {{"
    caption = _label(f"{picture.name}  version {picture.version}")
    yield f"  label={caption}; labelloc=t; labeljust=l; fontname=Helvetica;"
    yield f'  node [shape=box, style="rounded,filled", fillcolor="{_PLAIN}", fontname=Helvetica, fontsize=11];'
    yield "  edge [fontname=Helvetica, fontsize=9];"
    for card in picture.cards:
        yield f"  {_quoted(card.key)} [{_card(card)}];"
    for link in picture.links:
        yield f"  {_link(link)};"
    yield "}"


def _card(card: Card) -> str:
    match card.kind:
        case k if k in (REQUEST, ANSWER):
            return f"label={_label(card.title)}, shape=oval, style=filled"
        case k if k == SOURCE:
            return f'label={_label(card.title)}, shape=plain, style=""'
    style = "rounded,filled,dashed" if card.detached else "rounded,filled"
    fill = FILLS.get(card.kind, _PLAIN)
    return f'label={_label(*card.lines)}, tooltip={_label(card.detail)}, style="{style}", fillcolor="{fill}"'


def _link(link: Link) -> str:
    if link.handle:
        called = f"{_quoted(link.target)} -> {_quoted(link.source)}"
        return f"{called} [label={_label(link.to)}, style=dashed, constraint=false]"
    named = {"label": link.label, "headlabel": link.to}
    attributes = ", ".join(f"{key}={_label(text)}" for key, text in named.items() if text)
    edge = f"{_quoted(link.source)} -> {_quoted(link.target)}"
    return f"{edge} [{attributes}]" if attributes else edge


def _quoted(text: str) -> str:
    """A quoted identifier: only the quote is escaped in one, and a backslash at its end would escape that."""
    return '"' + clipped(text, 2_000).replace("\\", "\\\\").replace('"', '\\"') + '"'


def _label(*lines: str) -> str:
    r"""An escString: ``\n`` ends a line, ``\N`` and its like are filled in, so backslashes are doubled."""
    return '"' + "\\n".join(_quoted(clipped(line, _MOST))[1:-1] for line in lines) + '"'
