"""Charts as SVG for the page, and as PNG and PDF for download; equal charts give equal bytes.

The SVG takes its colours from the page's style sheet (`palette_css`), so that it follows a dark page.
matplotlib is imported when the first chart is drawn.
"""

import io
import re
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from textwrap import fill
from typing import TYPE_CHECKING, Any

from grid.report.charts import INK, PALETTE, SOFT, Chart

if TYPE_CHECKING:
    from matplotlib.figure import Figure

RESOLUTION = 200  # dots an inch of a PNG
LEGEND_WIDTH = 62  # letters that fit beside each other, each entry's line and gap counted as eight
TITLE_LETTER = 0.095  # inches: a letter of a title, the widest ones apart
NOTE_LETTER = 0.075  # the same of the note below it
NOTE_LINE = 12  # points
STYLE: Any = {
    "font.family": ["DejaVu Sans"],
    "font.size": 9.5,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "text.parse_math": False,  # a name may hold a dollar sign
    "text.color": INK,
    "axes.titlecolor": INK,
    "axes.labelcolor": SOFT,
    "axes.edgecolor": SOFT,
    "xaxis.labellocation": "right",  # a long label reaches below the names on the left
    "xtick.color": SOFT,
    "ytick.color": SOFT,
    "grid.color": PALETTE["line"][0],
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.facecolor": "none",
    "figure.facecolor": "none",
    "lines.solid_capstyle": "round",
    "legend.frameon": False,
    "svg.fonttype": "none",
    "pdf.fonttype": 42,
}


def palette_css() -> str:
    """Return the colours as custom properties, for light and dark pages; paper is always light."""
    light, dark = (
        ":root { " + " ".join(f"--{name}: {pair[theme]};" for name, pair in PALETTE.items()) + " }"
        for theme in (0, 1)
    )
    return f"{light}\n@media screen and (prefers-color-scheme: dark) {{ {dark} }}"


def svg(chart: Chart) -> str:
    """Return the chart as an element of a page, its colours the page's custom properties."""
    stream = io.BytesIO()
    with _style(chart):
        _figure(chart).savefig(stream, format="svg", metadata={"Date": None})
    return _compact(stream.getvalue().decode())


def png(chart: Chart) -> bytes:
    stream = io.BytesIO()
    with _style(chart):
        _figure(chart).savefig(
            stream,
            format="png",
            dpi=RESOLUTION,
            facecolor="white",
            metadata={"Software": None},
            pil_kwargs={"compress_level": 1},  # a fifth of the time less, for files a tenth larger
        )
    return stream.getvalue()


def pdf(charts: Sequence[Chart]) -> bytes:
    """Return a document with one page a chart."""
    from matplotlib.backends.backend_pdf import PdfPages

    stream = io.BytesIO()
    with PdfPages(stream, metadata={"CreationDate": None, "Creator": "medpt-grid"}) as pages:
        for chart in charts:
            with _style(chart):
                pages.savefig(_figure(chart))
    return stream.getvalue()


def _style(chart: Chart) -> AbstractContextManager[None]:
    """Apply STYLE; names inside an SVG differ between charts, as one page holds several."""
    from matplotlib import rc_context

    salt = sha256(repr(chart).encode()).hexdigest()[:16]
    return rc_context(STYLE | {"svg.hashsalt": salt})


@lru_cache(maxsize=128)
def _figure(chart: Chart) -> "Figure":
    """Return the chart laid out, once for all its formats; `_style` is in force."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    figure = Figure(figsize=chart.size)
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    chart.draw(axes)
    axes.set_xlabel(chart.x_label)
    axes.set_title(chart.title, pad=20 if chart.note else 6)
    note = axes.annotate(chart.note, (0, 1), (0, 7), "axes fraction", "offset points", fontsize=9, color=SOFT)
    note.set_in_layout(False)  # a long one is broken into lines instead
    handles, names = axes.get_legend_handles_labels()
    if names:
        columns = max(1, min(4, LEGEND_WIDTH // (8 + max(map(len, names)))))
        figure.legend(handles, names, loc="outside lower left", ncols=columns)
    ConstrainedLayoutEngine().execute(figure)
    width = chart.size[0] * (1 - axes.get_position().x0)  # right of the axes' left edge
    title, text = fill(chart.title, int(width / TITLE_LETTER)), fill(chart.note, int(width / NOTE_LETTER))
    if (title, text) != (chart.title, chart.note):
        axes.set_title(title, pad=(20 if text else 6) + NOTE_LINE * text.count("\n"))
        note.set(text=text, va="bottom", y=7 - 2 * ("\n" in text))
        ConstrainedLayoutEngine().execute(figure)
    return figure


def _compact(text: str) -> str:
    """Keep what a page needs of an SVG file: no declarations, fonts or unused names; colours by name."""
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>|<defs>\s*<style.*?</style>\s*</defs>", "", text, flags=re.DOTALL)
    text = re.sub(r' id="(?!m[0-9a-f]{10}|p[0-9a-f]{10})[^"]*"| xmlns\S*| version="1.1"', "", text)
    text = re.sub(r"font-family: 'DejaVu Sans';? ?| transform=\"rotate\(-0 [^\"]*\"", "", text)
    text = re.sub(r"(\d+\.\d\d)\d+", r"\1", text).replace("xlink:href", "href")
    text = re.sub(r"\s*\n\s*", " ", text).replace("> <", "><")
    for name, (light, _) in PALETTE.items():
        text = text.replace(light, f"var(--{name})")
    return re.sub(r"<g([^>]*)>((?:<use [^>]*/>)+)</g>", _share_style, text)


def _share_style(group: re.Match[str]) -> str:
    """Write the style of equal marks once, at their group."""
    marks = group[2]
    styles = set(re.findall(r' style="[^"]*"', marks))
    if len(styles) != 1:
        return group[0]
    (style,) = styles
    return f"<g{group[1]}{style}>{marks.replace(style, '')}</g>"


@dataclass(frozen=True)
class Figures:
    """Charts that belong together: one page each of `key`.pdf, and a PNG each."""

    key: str
    charts: Sequence[Chart]

    def png_name(self, chart: Chart) -> str:
        return f"{self.key}-{list(self.charts).index(chart) + 1}.png"

    def files(self) -> dict[str, bytes]:
        """Return the content of each file by name; none where there is no chart."""
        if not self.charts:
            return {}
        images = {self.png_name(chart): png(chart) for chart in self.charts}
        return images | {f"{self.key}.pdf": pdf(self.charts)}
