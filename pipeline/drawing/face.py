"""The face of a card: which of its texts fit, how large it is, and where in it each text stands. Pixels."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from pipeline.drawing.measure import fitted, width
from pipeline.drawing.picture import ANSWER, SOURCE, Card
from pipeline.graph.spec import REQUEST

TITLE, DETAIL, KIND, BADGE, PILL = 14.0, 12.0, 10.0, 10.5, 11.0
"""Font sizes."""
PAD, ICON, TEXT_LEFT = 12.0, 30.0, 52.0
HEAD, ROW, BADGE_HEIGHT = 54.0, 22.0, 17.0
PILL_HEIGHT = 19.0
_LEAST, _MOST = 168.0, 300.0
_MOST_OF_PILL = 230.0
_MOST_OF_END = 260.0


@dataclass(frozen=True, slots=True)
class Badge:
    """``x``, ``y``: its upper left corner, from the card's."""

    text: str
    x: float
    y: float
    width: float


@dataclass(frozen=True, slots=True)
class Face:
    title: str
    detail: str
    badges: tuple[Badge, ...]
    width: float
    height: float


def face(card: Card) -> Face:
    """The smallest face of the card by itself."""
    match card.kind:
        case k if k == SOURCE:
            title = fitted(card.title, _MOST_OF_PILL, PILL, mono=True)
            return Face(title, "", (), width(title, PILL, mono=True) + 18, 22.0)
        case k if k in (REQUEST, ANSWER):
            title = fitted(card.title, _MOST_OF_END, TITLE, bold=True)
            return Face(title, "", (), max(width(title, TITLE, bold=True) + 44, 110.0), 36.0)
    room = _MOST - TEXT_LEFT - PAD
    kind = width(card.kind.upper(), KIND, bold=True) + len(card.kind) * 0.8 + 12
    title = fitted(card.title, room - kind, TITLE, bold=True)
    detail = fitted(card.detail, room, DETAIL, mono=True)
    wide = TEXT_LEFT + PAD + max(width(title, TITLE, bold=True) + kind, width(detail, DETAIL, mono=True))
    badges = _badges(card.badges)
    across = max(wide, _LEAST, *(badge.x + badge.width + PAD for badge in badges))
    rows = len({badge.y for badge in badges})
    return Face(title, detail, badges, across, HEAD + rows * ROW + (4 if rows else 0))


def pill(text: str) -> tuple[str, float]:
    """The text of a pill on a line, as much as fits, and how wide it is."""
    shown = fitted(text, _MOST_OF_PILL, PILL, mono=True)
    return shown, width(shown, PILL, mono=True) + 14


def _badges(texts: Iterable[str]) -> tuple[Badge, ...]:
    """In rows, left to right, no row wider than a card may be."""
    placed: list[Badge] = []
    x, y = PAD, HEAD
    for text in texts:
        shown = fitted(text, _MOST - 2 * PAD - 12, BADGE)
        wide = width(shown, BADGE) + 12
        if x > PAD and x + wide > _MOST - PAD:
            x, y = PAD, y + ROW
        placed.append(Badge(shown, x, y, wide))
        x += wide + 6
    return tuple(placed)
