"""Figures of reports as SVG inside HTML: curves with bands, strips of points, and values against a hyper-parameter.

Colours are the page's own (`--c0` to `--c7`, light or dark), so that no figure has to know which. Nothing is
interactive by itself: report.js reads the lines' points to tell the numbers under the pointer.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from math import ceil, floor, inf, isfinite, log10

from gan_lightning.errors import printable

COLOURS = 8  # that the page has
WIDTH, HEIGHT = 480, 270  # of a chart, in units of about a pixel
LEFT, RIGHT, TOP, BOTTOM = 58, 24, 10, 40
STRIP_WIDTH, STRIP_HEIGHT, STRIP_MARGIN = 220, 26, 8
TICKS = 5
LARGEST = 1e100  # that a scale is made for, so that none overflows
APART = 20  # positive numbers whose extremes differ by this factor are drawn on a logarithmic scale
TRIED_APART = 5  # the same of a hyper-parameter's values


@dataclass(frozen=True)
class Series:
    """A line, or points, of a name; `low` and `high` are its band's ends at each x, and `colour` its number."""

    name: str
    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float] = ()
    high: Sequence[float] = ()
    colour: int = 0


@dataclass(frozen=True)
class Scale:
    """Numbers from `low` to `high` as places from `start` to `end`."""

    low: float
    high: float
    start: float
    end: float
    logarithmic: bool = False

    def __call__(self, value: float) -> float:
        low, high, value = (log10(each) if self.logarithmic else each for each in (self.low, self.high, value))
        share = (value - low) / (high - low) if high > low else 0.5
        return self.start + share * (self.end - self.start)

    def ticks(self) -> list[float]:
        """Round numbers within, some five of them; powers of ten on a logarithmic scale, if there are two at least."""
        if self.logarithmic:
            powers = [10.0**n for n in range(ceil(log10(self.low)), floor(log10(self.high)) + 1)]
            return powers[:: max(1, ceil(len(powers) / TICKS))] if len(powers) > 1 else [self.low, self.high]
        span = self.high - self.low
        if not span > 0:
            return [self.low]
        step = 10 ** floor(log10(span / TICKS))
        step = next(step * factor for factor in (1, 2, 5, 10) if span / (step * factor) <= TICKS)
        first = ceil(self.low / step - 1e-9)
        return [n * step for n in range(first, floor(self.high / step + 1e-9) + 1)]


def scale_of(
    numbers: Sequence[float], start: float, end: float, margin: float = 0.04, apart: float = APART
) -> Scale | None:
    """A scale for numbers below LARGEST, logarithmic where they are positive and so far `apart`; None without any."""
    finite = [number for number in numbers if abs(number) < LARGEST]
    if not finite:
        return None
    low, high = min(finite), max(finite)
    if low > 0 and high / low > apart:
        factor = (high / low) ** margin
        return Scale(low / factor, high * factor, start, end, logarithmic=True)
    room = (high - low) * margin or abs(high) * margin or 1.0
    return Scale(low - room, high + room, start, end)


def shown(number: float | None) -> str:
    """A number as people read it: 3 to 4 digits, whole ones with all of theirs."""
    if number is None or not isfinite(number):
        return "-"
    if number == int(number) and abs(number) < 1e7:
        return f"{int(number):,}"
    return f"{number:,.1f}" if 1000 <= abs(number) < 1e7 else f"{number:.4g}" if abs(number) >= 1 else f"{number:.3g}"


def text(content: object) -> str:
    """Text of whatever origin for HTML."""
    return escape(printable(content))


def lines(series: Sequence[Series], x_name: str, y_name: str) -> str:
    """A chart of lines with their bands; nothing where no point is finite.

    The scale of y is that of the lines, whose bands may leave the chart: of two seeds, they are wider than all else.
    """
    x = scale_of([number for each in series for number in each.x], LEFT, WIDTH - RIGHT, 0, apart=inf)
    y = scale_of([number for each in series for number in each.y], HEIGHT - BOTTOM, TOP, 0.08)
    if x is None or y is None:
        return ""
    bands = "".join(_band(each, x, y) for each in series)
    drawn = "".join(_line(each, x, y) for each in series)
    return _chart(f"{bands}{drawn}", x, y, x_name, y_name, f"{y_name} against {x_name}")


def points(series: Sequence[Series], x_name: str, y_name: str) -> str:
    """A chart of points against a number, the means at each joined by a line; nothing where no point is finite."""
    x = scale_of([number for each in series for number in each.x], LEFT, WIDTH - RIGHT, apart=TRIED_APART)
    y = scale_of([number for each in series for number in each.y], HEIGHT - BOTTOM, TOP, 0.08)
    if x is None or y is None:
        return ""
    drawn = []
    for each in series:
        for a, b in _finite(each, x, y):
            drawn.append(_dot(x(a), y(b), each.colour, f"{each.name}: {shown(b)} at {shown(a)}"))
        drawn.append(_line(Series(each.name, *_means(each), colour=each.colour), x, y))
    return _chart("".join(drawn), x, y, x_name, y_name, f"{y_name} against {x_name}")


def strip(
    values: Sequence[tuple[str, float]], mean: float, ends: tuple[float, float] | None, scale: Scale, colour: int = 0
) -> str:
    """Every value of a configuration as a point that tells its name, over its interval; `scale` is the table's."""
    middle = STRIP_HEIGHT / 2
    drawn = ""
    if ends is not None and all(map(isfinite, ends)):
        low, high = (scale(_within(end, scale)) for end in ends)
        drawn += f'<line class="interval" x1="{low:.1f}" x2="{high:.1f}" y1="{middle}" y2="{middle}"/>'
    if isfinite(mean):
        at = scale(_within(mean, scale))
        drawn += f'<line class="mean" x1="{at:.1f}" x2="{at:.1f}" y1="4" y2="{STRIP_HEIGHT - 4}"/>'
    drawn += "".join(
        _dot(scale(value), middle, colour, f"{name}: {shown(value)}") for name, value in values if isfinite(value)
    )
    size = f'width="{STRIP_WIDTH}" height="{STRIP_HEIGHT}" viewBox="0 0 {STRIP_WIDTH} {STRIP_HEIGHT}"'
    return f'<svg class="strip" role="img" aria-label="{text(shown(mean))}" {size}>{drawn}</svg>'


def strip_scale(numbers: Sequence[float]) -> Scale | None:
    """The scale that the strips of a table share."""
    return scale_of(numbers, STRIP_MARGIN, STRIP_WIDTH - STRIP_MARGIN)


def _within(value: float, scale: Scale) -> float:
    return min(max(value, scale.low), scale.high)


def _finite(series: Series, x: Scale, y: Scale) -> list[tuple[float, float]]:
    """The points that have a place: on logarithmic scales, positive ones."""
    drawable = [
        (a, b)
        for a, b in zip(series.x, series.y, strict=True)
        if isfinite(a) and isfinite(b) and (a > 0 or not x.logarithmic) and (b > 0 or not y.logarithmic)
    ]
    return drawable


def _means(series: Series) -> tuple[list[float], list[float]]:
    """The mean of y at each x."""
    found: dict[float, list[float]] = {}
    for a, b in zip(series.x, series.y, strict=True):
        if isfinite(a) and isfinite(b):
            found.setdefault(a, []).append(b)
    return sorted(found), [sum(found[a]) / len(found[a]) for a in sorted(found)]


def _line(series: Series, x: Scale, y: Scale) -> str:
    found = _finite(series, x, y)
    if not found:
        return ""
    colour = f'style="--c:var(--c{series.colour % COLOURS})" data-name="{text(series.name)}"'
    if len(found) == 1:
        a, b = found[0]
        return f'<g class="one" {colour}>{_dot(x(a), y(b), series.colour, f"{series.name}: {shown(b)}")}</g>'
    places = " ".join(f"{x(a):.1f},{y(b):.1f}" for a, b in found)
    return f'<polyline {colour} points="{places}"><title>{text(series.name)}</title></polyline>'


def _band(series: Series, x: Scale, y: Scale) -> str:
    if not len(series.low):
        return ""
    edges = []
    for edge in (series.high, series.low):
        found = [(a, b) for a, b in zip(series.x, edge, strict=True) if isfinite(a) and isfinite(b)]
        edges.append([f"{x(a):.1f},{y(_within(b, y)):.1f}" for a, b in found])
    if len(edges[0]) < 2:
        return ""
    colour = f'style="--c:var(--c{series.colour % COLOURS})" data-name="{text(series.name)}"'
    return f'<polygon {colour} points="{" ".join([*edges[0], *reversed(edges[1])])}"/>'


def _dot(x: float, y: float, colour: int, title: str) -> str:
    style = f'style="--c:var(--c{colour % COLOURS})"'
    return f'<circle {style} cx="{x:.1f}" cy="{y:.1f}" r="3.5"><title>{text(title)}</title></circle>'


def _chart(drawn: str, x: Scale, y: Scale, x_name: str, y_name: str, label: str) -> str:
    """The frame around what is drawn: ticks, names, and the scales by which report.js reads places as numbers."""
    ticks = "".join(
        f'<text class="tick" x="{x(at):.1f}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">{text(shown(at))}</text>'
        for at in x.ticks()
    )
    for at in y.ticks():
        ticks += f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(at):.1f}" y2="{y(at):.1f}"/>'
        ticks += f'<text class="tick" x="{LEFT - 6}" y="{y(at) + 4:.1f}" text-anchor="end">{text(shown(at))}</text>'
    logarithmic = [f"{name} (logarithmic)" if s.logarithmic else name for name, s in ((x_name, x), (y_name, y))]
    names = f'<text class="name" x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 6}">{text(logarithmic[0])}</text>'
    scales = f'data-x="{_numbers(x)}" data-y="{_numbers(y)}"'
    shell = f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{text(label)}" {scales}>'
    caption = f"<figcaption>{text(logarithmic[1])}</figcaption>"
    return f'<figure class="chart">{caption}{shell}{ticks}{names}{drawn}</svg></figure>'


def _numbers(scale: Scale) -> str:
    numbers = (scale.low, scale.high, scale.start, scale.end, float(scale.logarithmic))
    return " ".join(f"{number:.8g}" for number in numbers)
