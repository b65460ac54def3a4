"""Mermaid's flowchart, which GitHub and many wikis draw: https://mermaid.js.org/syntax/flowchart.html"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from pipeline.drawing.measure import clipped
from pipeline.drawing.palette import FILLS, OTHER, QUIET, SOFT, STROKES, TEXT
from pipeline.drawing.picture import ANSWER, SOURCE, Card, Link, Picture
from pipeline.graph.spec import REQUEST

ENDINGS = (".mmd", ".mermaid")

_MOST = 60
# "call" and "end" are words of the language, which no class may be named.
_OWN = "kind_"
# The fill is light and the text dark, on pages of either colour.
_STYLES = {
    **{kind: f"fill:{FILLS[kind]},stroke:{stroke},color:{TEXT}" for kind, stroke in STROKES.items()},
    "ends": f"fill:{SOFT},stroke:{QUIET},color:{TEXT}",
    "detached": "stroke-dasharray:6 4",
}


def write(picture: Picture) -> str:
    """The picture as one flowchart; whoever shows it lays it out."""
    return "\n".join(_lines(picture)) + "\n"


def _lines(picture: Picture) -> Iterator[str]:
    # Numbers, since steps may be named like words of the language.
    numbers = {card.key: f"n{number}" for number, card in enumerate(picture.cards)}
    yield "flowchart TD"
    for card in picture.cards:
        yield f"  {numbers[card.key]}{_card(card)}"
    for link in picture.links:
        yield f"  {_link(link, numbers)}"
    for style, words in _STYLES.items():
        yield f"  classDef {_OWN}{style} {words}"
    for card in picture.cards:
        yield f"  class {numbers[card.key]} {_OWN}{_style(card)}"
    yield from (f"  class {numbers[card.key]} {_OWN}detached" for card in picture.cards if card.detached)


def _card(card: Card) -> str:
    match card.kind:
        case k if k in (REQUEST, ANSWER):
            return f"([{_quoted(card.title)}])"
        case k if k == SOURCE:
            return f">{_quoted(card.title)}]"
    return f"[{_quoted(*card.lines)}]"


def _style(card: Card) -> str:
    if card.kind in (REQUEST, ANSWER, SOURCE):
        return "ends"
    return card.kind if card.kind in STROKES else OTHER


def _link(link: Link, numbers: Mapping[str, str]) -> str:
    source, target = numbers[link.source], numbers[link.target]
    if link.handle:
        return f"{target} -.->|{_quoted(link.to)}| {source}"
    label = " → ".join(filter(None, [link.label, link.to]))
    return f"{source} -->|{_quoted(label)}| {target}" if label else f"{source} --> {target}"


def _quoted(*lines: str) -> str:
    """In quotes, and all but plain characters as entities: Mermaid reads markup and Markdown in labels."""
    return '"' + "<br>".join(re.sub(r"[^\w .,:/→…()-]", _entity, clipped(line, _MOST)) for line in lines) + '"'


def _entity(found: re.Match[str]) -> str:
    return f"#{ord(found[0])};"
