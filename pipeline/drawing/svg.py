"""SVG that stands by itself and inside a page: no ids, no scripts, nothing to load; light or dark as the reader wants.

Each kind has a colour, a sign and its word.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from xml.sax.saxutils import escape, quoteattr

from pipeline.drawing.face import BADGE, BADGE_HEIGHT, ICON, PAD, PILL_HEIGHT, TEXT_LEFT
from pipeline.drawing.layout import CAPTION_SIZE, MARGIN, Box, Layout, Pill, Point, Route, layout
from pipeline.drawing.measure import fitted, width
from pipeline.drawing.palette import OTHER, QUIET, SOFT, STROKES, TEXT
from pipeline.drawing.picture import ANSWER, SOURCE, Picture
from pipeline.graph.spec import REQUEST

ENDINGS = (".svg",)

_HOME = "pipeline-graph"
# A sign per kind on a field of 16 by 16; a kind without one has a ring.
_SIGNS = {
    "run": "M6 2.5C3.5 2.5 5.5 8 2.5 8C5.5 8 3.5 13.5 6 13.5M10 2.5C12.5 2.5 10.5 8 13.5 8C10.5 8 12.5 13.5 10 13.5",
    "model": "M8 1.8L13.6 4.9V11.1L8 14.2L2.4 11.1V4.9ZM2.4 4.9L8 8L13.6 4.9M8 8V14.2",
    "call": "M7 3.5H3V13H12.5V9M9.5 2.8H13.2V6.5M13.2 2.8L7 9",
}
_RING = "M8 3A5 5 0 1 1 7.99 3Z"
_LIGHT = {
    "ground": "#ffffff", "card": "#ffffff", "edge": "#d1d9e0", "text": TEXT, "quiet": QUIET, "line": "#8b949e",
    "soft": SOFT, "on": "#ffffff", **STROKES,
}  # fmt: skip
_DARK = {
    "ground": "#0d1117", "card": "#161b22", "edge": "#3d444d", "text": "#e6edf3", "quiet": "#9198a1", "line": "#7d8590",
    "soft": "#21262d", "on": "#0d1117",
    "run": "#56b4e9", "model": "#f0a050", "call": "#3ecf9f", OTHER: "#d99ac0",
}  # fmt: skip
_FORMS = """
.{h}{{max-width:100%;height:auto}}
.{h} text{{font-family:system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif}}
.{h} .mono{{font-family:ui-monospace,"SF Mono","Cascadia Code","DejaVu Sans Mono",Menlo,Consolas,monospace}}
.{h} .name{{font-weight:650;font-size:17px}}
.{h} .title{{font-weight:600;font-size:14px}}
.{h} .detail{{font-size:12px}}
.{h} .kind{{font-weight:600;font-size:10px;letter-spacing:.8px}}
.{h} .policy{{font-size:10.5px}}
.{h} .pill{{font-size:11px}}
.{h} .line{{fill:none;stroke-width:1.6}}
.{h} .sign{{fill:none;stroke-width:1.5;stroke-linecap:round;stroke-linejoin:round}}
.{h} .handle{{stroke-dasharray:5 4}}
.{h} .small{{stroke-dasharray:2 3}}
.{h} .away{{stroke-dasharray:7 5}}
"""
_PAINT = """
.{h} .ground{{fill:{ground}}}
.{h} .card{{fill:{card};stroke:{edge}}}
.{h} .end{{fill:{soft};stroke:{quiet}}}
.{h} .source,.{h} .tag{{fill:{ground};stroke:{edge}}}
.{h} .chip{{fill:{soft}}}
.{h} .name,.{h} .title{{fill:{text}}}
.{h} .detail,.{h} .kind,.{h} .policy,.{h} .pill,.{h} .version{{fill:{quiet}}}
.{h} .line{{stroke:{line}}}
.{h} .head{{fill:{line}}}
.{h} .sign{{stroke:{on}}}
.{h} .run{{fill:{run}}}
.{h} .model{{fill:{model}}}
.{h} .call{{fill:{call}}}
.{h} .other{{fill:{other}}}
"""


def write(picture: Picture) -> str:
    """The picture as one SVG element."""
    laid = layout(picture)
    return "\n".join(_document(picture, laid)) + "\n"


def _document(picture: Picture, laid: Layout) -> Iterator[str]:
    wide, high = _n(laid.width), _n(laid.height)
    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="{_HOME}" role="img" '
        f"aria-label={_attribute(_summary(picture))} "
        f'width="{wide}" height="{high}" viewBox="0 0 {wide} {high}">'
    )
    yield f"<title>{_text(picture.name)}</title>"
    yield f"<style>{style()}</style>"
    yield f'<rect class="ground" width="{wide}" height="{high}" rx="12"/>'
    yield from _caption(picture, laid)
    for route in laid.routes:
        yield from _route(route, down=laid.down)
    for box in laid.boxes:
        yield from _box(box)
    for pill in laid.pills:
        yield from _pill(pill)
    yield "</svg>"


def _summary(picture: Picture) -> str:
    count = len(picture.steps)
    names = ", ".join(f"{card.title} ({card.kind})" for card in picture.steps)
    return f"The graph {picture.name}: {count} step{'s' if count != 1 else ''}, {names}"


def style() -> str:
    """What stands in the style element, the same in each: a page with a policy allows it by its hash."""
    light, dark = (_PAINT.format(h=_HOME, **colours) for colours in (_LIGHT, _DARK))
    return f"{_FORMS.format(h=_HOME)}{light.lstrip()}@media (prefers-color-scheme:dark){{{dark}}}\n"


def _caption(picture: Picture, laid: Layout) -> Iterator[str]:
    whole = f"version {picture.version}"
    room = laid.width - 2 * MARGIN
    version = fitted(whole, max(room / 3, 90), BADGE)
    name = fitted(picture.name, max(room - width(version, BADGE) - 10, 80), CAPTION_SIZE, bold=True)
    yield f'<text x="{_n(MARGIN)}" y="{_n(MARGIN + 14)}"><title>{_text(f"{picture.name}, {whole}")}</title>'
    yield f'<tspan class="name">{_text(name)}</tspan>'
    yield f'<tspan class="version policy" dx="10">{_text(version)}</tspan></text>'


# ---- cards


def _box(box: Box) -> Iterator[str]:
    card, x, y = box.card, box.x, box.y
    middle, right = x + box.width / 2, x + box.width
    match card.kind:
        case k if k == SOURCE:
            yield f"<g>{_tip(card.title)}{_rect('source small', box, 11)}"
            yield _words("pill mono", middle, y + 15, box.face.title, "middle") + "</g>"
            return
        case k if k in (REQUEST, ANSWER):
            yield f"<g>{_rect('end', box, 18)}"
            yield _words("title", middle, y + 23, box.face.title, "middle") + "</g>"
            return
    kind = card.kind if card.kind in _SIGNS else OTHER
    tip = "\n".join(filter(None, [f"{card.title} ({card.kind})", card.detail, *card.badges]))
    yield f"<g>{_tip(tip)}{_rect('card away' if card.detached else 'card', box, 10)}"
    yield f'<rect class="{kind}" x="{_n(x + PAD)}" y="{_n(y + PAD)}" width="{_n(ICON)}" height="{_n(ICON)}" rx="8"/>'
    to = _p((x + PAD + 7, y + PAD + 7))
    yield f'<path class="sign" transform="translate({to})" d="{_SIGNS.get(card.kind, _RING)}"/>'
    yield _words("title", x + TEXT_LEFT, y + 24, box.face.title)
    yield _words("kind", right - PAD, y + 23, card.kind.upper(), "end")
    yield _words("detail mono", x + TEXT_LEFT, y + 41, box.face.detail)
    for badge in box.face.badges:
        left, top = x + badge.x, y + badge.y
        yield _field("chip", left, top, badge.width, BADGE_HEIGHT)
        yield _words("policy", left + badge.width / 2, top + 12.3, badge.text, "middle")
    yield "</g>"


def _pill(pill: Pill) -> Iterator[str]:
    style = "tag handle" if pill.handle else "tag"
    yield f"<g>{_tip(pill.whole)}"
    yield _field(style, pill.x, pill.y, pill.width, PILL_HEIGHT, 9.5)
    yield _words("pill mono", pill.x + pill.width / 2, pill.y + 13.2, pill.text, "middle") + "</g>"


def _field(style: str, x: float, y: float, width: float, height: float, radius: float = 5) -> str:
    at = f'x="{_n(x)}" y="{_n(y)}" width="{_n(width)}" height="{_n(height)}"'
    return f'<rect class="{style}" {at} rx="{_n(radius)}"/>'


def _rect(style: str, box: Box, radius: float) -> str:
    at = f'x="{_n(box.x)}" y="{_n(box.y)}" width="{_n(box.width)}" height="{_n(box.height)}"'
    return f'<rect class="{style}" {at} rx="{_n(radius)}" stroke-width="1.4"/>'


# ---- lines


def _route(route: Route, *, down: bool) -> Iterator[str]:
    points = _short_of_the_arrow(route.points)
    path = [f"M{_p(points[0])}"]
    for number, (before, point) in enumerate(pairwise(points)):
        straight = number % 2 == 0 or (before[0] == point[0] if down else before[1] == point[1])
        path.append(f"L{_p(point)}" if straight else _curve(before, point, down=down))
    style = "line handle" if route.link.handle else "line"
    what = f"{route.link.target} calls {route.link.source}" if route.link.handle else ""
    yield f"<g>{_tip(what)}" if what else "<g>"
    yield f'<path class="{style}" d="{"".join(path)}"/><path class="head" d="{_arrow(*route.points[-2:])}"/></g>'


def _curve(start: Point, end: Point, *, down: bool) -> str:
    """Leaves and arrives along the graph's direction."""
    (x, y), (to_x, to_y) = start, end
    if down:
        middle = (y + to_y) / 2
        return f"C{_p((x, middle))} {_p((to_x, middle))} {_p(end)}"
    middle = (x + to_x) / 2
    return f"C{_p((middle, y))} {_p((middle, to_y))} {_p(end)}"


def _direction(before: Point, end: Point) -> Point:
    (x, y), (to_x, to_y) = before, end
    if to_y != y:
        return 0.0, 1.0 if to_y > y else -1.0
    return (1.0 if to_x >= x else -1.0), 0.0


def _arrow(before: Point, end: Point) -> str:
    right, down = _direction(before, end)
    x, y = end[0] - 8 * right, end[1] - 8 * down
    one, other = (x + 4.5 * down, y + 4.5 * right), (x - 4.5 * down, y - 4.5 * right)
    return f"M{_p(end)}L{_p(one)}L{_p(other)}Z"


def _short_of_the_arrow(points: tuple[Point, ...]) -> tuple[Point, ...]:
    right, down = _direction(*points[-2:])
    x, y = points[-1]
    return (*points[:-1], (x - 5 * right, y - 5 * down))


# ---- text


def _words(style: str, x: float, y: float, text: str, anchor: str = "start") -> str:
    return f'<text class="{style}" text-anchor="{anchor}" x="{_n(x)}" y="{_n(y)}">{_text(text)}</text>'


def _tip(text: str) -> str:
    return f"<title>{_text(text)}</title>"


def _text(text: str) -> str:
    return escape(_legal(text))


def _attribute(text: str) -> str:
    return quoteattr(_legal(text))


def _legal(text: str) -> str:
    """Without what no XML may hold (XML 1.0, 2.2), whatever somebody put into a name."""
    return "".join(char if char.isprintable() or char == "\n" else "\N{REPLACEMENT CHARACTER}" for char in text)


def _p(point: Point) -> str:
    return f"{_n(point[0])} {_n(point[1])}"


def _n(number: float) -> str:
    """To a tenth of a pixel, and never ``-0``."""
    return f"{round(number, 1) + 0.0:.1f}".removesuffix(".0")
