"""A picture of the results: how far each figure is above, or below, what it must reach."""

import math
from collections.abc import Mapping
from typing import Any
from xml.sax.saxutils import escape

ROW, LEFT, WIDTH, RIGHT, TOP = 24, 560, 360, 110, 56
LEAST, MOST = 0.25, 16.0
"""The axis' ends, in multiples of what must be reached. It is logarithmic."""
TICKS = (0.25, 0.5, 1, 2, 4, 8, 16)

STYLE = """
text { font: 13px system-ui, sans-serif; fill: #1f2328 }
.small { font-size: 11px; fill: #59636e }
.line { stroke: #d1d9e0 }
.need { stroke: #1f2328; stroke-width: 1.5 }
.ok { fill: #2da44e }
.short { fill: #cf5a00 }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 }
  .small { fill: #9198a1 }
  .line { stroke: #3d444d }
  .need { stroke: #e6edf3 }
  .ok { fill: #3fb950 }
  .short { fill: #f0883e }
}
"""


def chart(results: Mapping[str, Any]) -> str:
    """The figures as an SVG of bars, on whatever ground the reader has."""
    rows = [(key, figure) for key, figures in results.items() if isinstance(figures, list) for figure in figures]
    bottom = TOP + ROW * len(rows)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {LEFT + WIDTH + RIGHT} {bottom + 12}" role="img">',
        "<title>What each figure reaches, in multiples of what it must reach</title>",
        f"<style>{STYLE}</style>",
        f'<text x="{LEFT + WIDTH / 2}" y="18" text-anchor="middle">Multiples of what must be reached</text>',
    ]
    for tick in TICKS:
        place = _place(tick)
        kind = "need" if tick == 1 else "line"
        lines += [
            f'<line class="{kind}" x1="{place:.1f}" x2="{place:.1f}" y1="{TOP - 10}" y2="{bottom}"/>',
            f'<text class="small" x="{place:.1f}" y="{TOP - 16}" text-anchor="middle">{tick:g}</text>',
        ]
    for number, (key, figure) in enumerate(rows):
        lines += _row(key, figure, TOP + ROW * number)
    return "\n".join([*lines, "</svg>\n"])


def _row(key: str, figure: Mapping[str, Any], y: int) -> list[str]:
    one, end = _place(1), _place(figure["margin"])
    kind, width = "ok" if figure["ok"] else "short", max(abs(end - one), 1)
    reached = figure["ours"] if figure["ratio"] is None else figure["ratio"]
    return [
        f'<text x="{LEFT - 12}" y="{y + 14}" text-anchor="end">{escape(key)}: {escape(figure["what"])}</text>',
        f'<rect class="{kind}" x="{min(one, end):.1f}" y="{y + 4}" width="{width:.1f}" height="{ROW - 10}" rx="2"/>',
        f'<text class="small" x="{LEFT + WIDTH + 8}" y="{y + 14}">{reached:.3g} ({escape(figure["need"])})</text>',
    ]


def _place(margin: float) -> float:
    """Where a multiple is on the axis."""
    within = min(max(margin, LEAST), MOST)
    return LEFT + WIDTH * math.log(within / LEAST) / math.log(MOST / LEAST)
