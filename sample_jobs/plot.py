"""Draw a metric of some runs round by round, the matrix of a cross-site evaluation, or a table of numbers, as an SVG.

python sample_jobs/plot.py lines FedAvg=runs/RUN-1 Scaffold=runs/RUN-2 --metric accuracy --out accuracy.svg
python sample_jobs/plot.py matrix runs/RUN --metric auc --out matrix.svg
python sample_jobs/plot.py table errors.csv --out errors.svg
"""

from __future__ import annotations

import argparse
import csv
import math
from collections.abc import Iterator
from html import escape
from pathlib import Path

WIDTH, HEIGHT = 680, 360
LEFT, RIGHT, TOP, BOTTOM = 56, 130, 36, 40
COLORS = ["#0b6fb8", "#d1495b", "#2a9d5c", "#8f5bbd", "#d98a00", "#4b5563", "#0f9d9d", "#b5548f"]


def series(run: Path, metric: str, site: str, last: float) -> dict[float, float]:
    """Values of a metric by round, up to the `last`: those of a site, or the average of all."""
    with (run / "metrics.csv").open(encoding="utf-8", newline="") as file:
        return {
            int(row["round"]): float(row["value"])
            for row in csv.DictReader(file)
            if row["metric"] == metric and row["site"] == site and int(row["round"]) <= last
        }


def ticks(low: float, high: float) -> list[float]:
    """Round numbers from `low` to `high`, about five."""
    step = 10 ** math.floor(math.log10((high - low) / 4))
    step *= next(factor for factor in (1, 2, 5, 10) if (high - low) / (step * factor) <= 6)
    return [step * number for number in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]


def svg(title: str, body: Iterator[str]) -> str:
    """A whole SVG file."""
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif"'
            f' font-size="12" fill="#333"><title>{escape(title)}</title>',
            '<rect width="100%" height="100%" fill="#fff"/>',
            f'<text x="{LEFT}" y="22" font-size="14" font-weight="bold">{escape(title)}</text>',
            *body,
            "</svg>\n",
        ]
    )


def lines(curves: dict[str, dict[float, float]], low: float | None, high: float | None, below: str) -> Iterator[str]:
    """Axes, a line per curve, and its name at its end; `below` says what is on the axis below."""
    values = [value for curve in curves.values() for value in curve.values()]
    low, high = min(values) if low is None else low, max(values) if high is None else high
    last = max(max(curve) for curve in curves.values())
    first = min(min(curve) for curve in curves.values())

    def place(number: float, value: float) -> tuple[float, float]:
        x = LEFT + (WIDTH - LEFT - RIGHT) * (number - first) / max(last - first, 1)
        share = (value - low) / ((high - low) or 1)
        return x, HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * share

    inside = f'<rect x="{LEFT}" y="{TOP - 2}" width="{WIDTH - LEFT - RIGHT}" height="{HEIGHT - TOP - BOTTOM + 4}"/>'
    yield f'<clipPath id="inside">{inside}</clipPath>'
    for tick in ticks(low, high):
        _, y = place(first, tick)
        yield f'<path d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}" stroke="#ddd"/>'
        yield f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{tick:.4g}</text>'
    for tick in ticks(first, last):
        if tick == int(tick):
            x, y = place(tick, low)
            yield f'<text x="{x:.1f}" y="{y + 18:.1f}" text-anchor="middle">{tick:.0f}</text>'
    middle = (LEFT + WIDTH - RIGHT) / 2
    yield f'<text x="{middle}" y="{HEIGHT - 6}" text-anchor="middle">{escape(below)}</text>'
    named = []
    for color, (name, curve) in zip(COLORS * len(curves), curves.items(), strict=False):
        points = [place(number, value) for number, value in sorted(curve.items())]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        yield f'<polyline points="{path}" fill="none" stroke="{color}" stroke-width="2" clip-path="url(#inside)"/>'
        named.append((points[-1][1], name, color))
    floor = -math.inf
    for y, name, color in sorted(named):  # names that would lie on each other move down
        floor = max(y + 4, floor + 15)
        yield f'<text x="{WIDTH - RIGHT + 8}" y="{floor:.1f}" fill="{color}">{escape(name)}</text>'


def matrix(run: Path, metric: str) -> Iterator[str]:
    """A row per model, a column per site; the larger a value within its column, the darker."""
    with (run / "cross_site.csv").open(encoding="utf-8", newline="") as file:
        head, *rows = csv.reader(file)
    rows = [row[1:] for row in rows if row[0] == metric]
    width, height = (WIDTH - 2 * RIGHT) / (len(head) - 2), (HEIGHT - TOP - BOTTOM) / len(rows)
    for column, site in enumerate(head[2:]):
        x = RIGHT + (column + 0.5) * width
        yield f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{escape(site)}</text>'
    yield f'<text x="{WIDTH / 2}" y="{HEIGHT - 6}" text-anchor="middle">on the data of</text>'
    columns = [[float(row[1 + column]) for row in rows] for column in range(len(head) - 2)]
    for number, row in enumerate(rows):
        y = TOP + number * height
        name = "global model" if row[0] == "global" else f"model of {escape(row[0])}"
        yield f'<text x="{RIGHT - 8}" y="{y + height / 2 + 4:.1f}" text-anchor="end">{name}</text>'
        for place, values in enumerate(columns):
            share = (values[number] - min(values)) / ((max(values) - min(values)) or 1)
            box = f'x="{RIGHT + place * width:.1f}" y="{y:.1f}" width="{width - 2:.1f}" height="{height - 2:.1f}"'
            yield f'<rect {box} fill="{COLORS[0]}" fill-opacity="{0.1 + 0.5 * share:.2f}"/>'
            x = RIGHT + (place + 0.5) * width - 1
            yield f'<text x="{x:.1f}" y="{y + height / 2 + 4:.1f}" text-anchor="middle">{values[number]:.4g}</text>'


def main() -> None:
    """Read what is to be drawn, and write it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("kind", choices=("lines", "matrix", "table"))
    parser.add_argument("sources", nargs="+", help="run folders, as NAME=RUN, or NAME=RUN:SITE for a site's; or a CSV")
    parser.add_argument("--metric", default="accuracy")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--title", default="")
    parser.add_argument("--last", type=int, default=math.inf, help="last round that is shown")
    parser.add_argument("--low", type=float, help="least value that is shown")
    parser.add_argument("--high", type=float, help="largest value that is shown")
    a = parser.parse_args()
    if a.kind == "matrix":
        body = matrix(Path(a.sources[0]), a.metric)
    elif a.kind == "table":
        with Path(a.sources[0]).open(encoding="utf-8", newline="") as file:
            head, *rows = csv.reader(file)
        curves = {name: {float(row[0]): float(row[place]) for row in rows} for place, name in enumerate(head) if place}
        body = lines(curves, a.low, a.high, head[0])
    else:
        curves = {}
        for source in a.sources:
            name, _, run = source.rpartition("=")
            folder, _, site = run.partition(":")
            curves[name] = series(Path(folder), a.metric, site, a.last)
        body = lines(curves, a.low, a.high, "round")
    a.out.write_text(svg(a.title or a.metric, body), encoding="utf-8")


if __name__ == "__main__":
    main()
