"""Charts as SVG, whose colours are the page's classes, so that they follow it from light to dark."""

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from markupsafe import Markup

WIDTH, HEIGHT = 380, 270
LEFT, RIGHT, TOP, BOTTOM = 52, 14, 12, 44  # margins
TICKS = 5  # about as many
RADIUS, LARGEST = 3.5, 15.0  # of a dot: of one name, and of any number of them
NEAR = 1.0  # pixels: of marks that are closer one alone is seen
NAMED = 8  # that a mark shows when it is pointed at


class Axis(NamedTuple):
    """What an axis shows."""

    title: str
    low: float
    high: float

    def ticks(self) -> list[float]:
        """Round numbers between both ends, a step of 1, 2 or 5 tens, hundreds, tenths and so on apart."""
        rough = (self.high - self.low) / TICKS
        power = 10.0 ** math.floor(math.log10(rough))
        step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999)
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return [k * step for k in range(first, last + 1)]


def axis_of(title: str, values: Iterable[float]) -> Axis:
    """An axis that holds some values."""
    known = list(values) or [0.0]
    low, high = min(known), max(known)
    room = (high - low) / 20 or abs(high) / 20 or 0.5
    return Axis(title, low - room, high + room)


class Mark(NamedTuple):
    """Of a scatter: a dot, or a hollow square."""

    x: float
    y: float
    name: str
    hollow: bool = False


def line_chart(label: str, x: Axis, y: Axis, xs: Sequence[float], ys: Sequence[float]) -> Markup:
    """A line; few points have a dot each."""
    places = [_place(x, y, a, b) for a, b in zip(xs, ys, strict=True)]
    path = " ".join(f"{a:.1f},{b:.1f}" for a, b in places)
    line = Markup('<polyline class="line" points="{}"/>').format(path)
    return _chart(label, x, y, [line, *(_dots(places, xs, ys) if len(xs) <= 60 else [])])


def scatter(label: str, x: Axis, y: Axis, marks: Iterable[Mark]) -> Markup:
    """A mark at each place, whose names show when it is pointed at; that of several is larger, and has their number."""
    groups = sorted(together(x, y, marks), key=len, reverse=True)  # small ones on top
    places = [_place(x, y, own[0].x, own[0].y) for own in groups]
    shapes = [_mark(place, own) for place, own in zip(places, groups, strict=True)]
    counts = [_count(place, len(own)) for place, own in zip(places, groups, strict=True) if len(own) > 1]
    return _chart(label, x, y, [*shapes, *counts])


def together(x: Axis, y: Axis, marks: Iterable[Mark]) -> list[list[Mark]]:
    """Marks of a kind that would lie on one another."""
    groups: dict[tuple[int, int, bool], list[Mark]] = {}
    for mark in marks:
        across, down = _place(x, y, mark.x, mark.y)
        groups.setdefault((round(across / NEAR), round(down / NEAR), mark.hollow), []).append(mark)
    return list(groups.values())


def legend_mark(hollow: bool) -> Markup:
    """A mark in a line of words."""
    head = Markup('<svg class="mark" viewBox="0 0 14 14" role="img" aria-label="{}">')
    return head.format("square" if hollow else "dot") + _shape((7, 7), RADIUS, hollow, "") + Markup("</svg>")


def _radius(number: int) -> float:
    return min(LARGEST, RADIUS * math.sqrt(number))


def _mark(place: tuple[float, float], marks: Sequence[Mark]) -> Markup:
    """Of all marks at a place."""
    names = ", ".join(mark.name for mark in marks[:NAMED]) + (" ..." if len(marks) > NAMED else "")
    words = f"{names} {_number(marks[0].x)}, {_number(marks[0].y)}".strip()
    return _shape(place, _radius(len(marks)), marks[0].hollow, words)


def _count(place: tuple[float, float], number: int) -> Markup:
    """Beside a mark how many it stands for, on the left where there is no room on the right."""
    left, aside = place[0] > WIDTH - RIGHT - 40, _radius(number) + 3
    across = place[0] - aside if left else place[0] + aside
    return _text(across, place[1] + 4, "end" if left else "start", str(number), "word count")


def _shape(place: tuple[float, float], radius: float, hollow: bool, words: str) -> Markup:
    (across, down), side = place, 2 * radius
    if hollow:
        square = Markup(
            '<rect class="hollow" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}"><title>{}</title></rect>'
        )
        return square.format(across - radius, down - radius, side, side, words)
    dot = Markup('<circle class="dot" cx="{:.1f}" cy="{:.1f}" r="{:.1f}"><title>{}</title></circle>')
    return dot.format(across, down, radius, words)


def reliability(label: str, xs: Sequence[float], ys: Sequence[float], names: Sequence[str]) -> Markup:
    """Fraction of foreground against probability, both in [0, 1], beside the line of perfect calibration."""
    x, y = Axis("mean probability of the bin", 0, 1), Axis("part that is foreground", 0, 1)
    places = [_place(x, y, a, b) for a, b in zip(xs, ys, strict=True)]
    (x0, y0), (x1, y1) = _place(x, y, 0, 0), _place(x, y, 1, 1)
    ideal = Markup('<line class="ideal" x1="{}" y1="{}" x2="{}" y2="{}"/>').format(x0, y0, x1, y1)
    path = " ".join(f"{a:.1f},{b:.1f}" for a, b in places)
    line = Markup('<polyline class="line" points="{}"/>').format(path)
    return _chart(label, x, y, [ideal, line, *_dots(places, xs, ys, names)])


def _place(x: Axis, y: Axis, a: float, b: float) -> tuple[float, float]:
    """Of a point in the picture."""
    across = LEFT + (a - x.low) / (x.high - x.low) * (WIDTH - LEFT - RIGHT)
    down = HEIGHT - BOTTOM - (b - y.low) / (y.high - y.low) * (HEIGHT - TOP - BOTTOM)
    return across, down


def _dots(
    places: Sequence[tuple[float, float]], xs: Sequence[float], ys: Sequence[float], names: Sequence[str] = ()
) -> list[Markup]:
    words = names or [""] * len(places)
    texts = [f"{name} {_number(a)}, {_number(b)}".strip() for name, a, b in zip(words, xs, ys, strict=True)]
    return [_shape(place, RADIUS, False, text) for place, text in zip(places, texts, strict=True)]


def _chart(label: str, x: Axis, y: Axis, content: Iterable[Markup]) -> Markup:
    """Axes around some content."""
    right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM
    parts = []
    for value in x.ticks():
        across, _ = _place(x, y, value, y.low)
        parts.append(_text(across, bottom + 16, "middle", _number(value)))
    for value in y.ticks():
        _, down = _place(x, y, x.low, value)
        parts.append(
            Markup('<line class="grid" x1="{}" y1="{:.1f}" x2="{}" y2="{:.1f}"/>').format(LEFT, down, right, down)
        )
        parts.append(_text(LEFT - 6, down + 4, "end", _number(value)))
    parts.append(_text((LEFT + right) / 2, HEIGHT - 8, "middle", x.title))
    turned = Markup('<text class="word" text-anchor="middle" transform="translate(12 {}) rotate(-90)">{}</text>')
    parts.append(turned.format((TOP + bottom) / 2, y.title))
    parts.append(Markup('<path class="axis" d="M{} {}V{}H{}"/>').format(LEFT, TOP, bottom, right))
    head = Markup('<svg class="chart" viewBox="0 0 {} {}" role="img" aria-label="{}">').format(WIDTH, HEIGHT, label)
    return head + Markup("").join([*parts, *content]) + Markup("</svg>")


def _text(across: float, down: float, anchor: str, words: str, kind: str = "word") -> Markup:
    text = Markup('<text class="{}" x="{:.1f}" y="{:.1f}" text-anchor="{}">{}</text>')
    return text.format(kind, across, down, anchor, words)


def _number(value: float) -> str:
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"
