"""A self-contained HTML page: figures, tables and the page around them."""

from __future__ import annotations

import hashlib
import html
from collections.abc import Sequence
from importlib import resources
from string import Template

import pandas as pd
import plotly.graph_objects as go
from plotly.offline import get_plotlyjs


def render(title: str, subtitle: str, sections: Sequence[tuple[str, str]]) -> str:
    """Renders the page; `sections` are pairs of a heading and HTML."""
    page = Template(resources.files("orchestrator.interface").joinpath("page.html").read_text())
    return page.substitute(
        title=html.escape(title),
        subtitle=html.escape(subtitle),
        plotly=get_plotlyjs(),
        links="".join(f'<a href="#s{i}">{name}</a>' for i, (name, _) in enumerate(sections)),
        body="\n".join(
            f'<h2 id="s{i}">{name}</h2>\n{body}' for i, (name, body) in enumerate(sections)
        ),
    )


def figure(shown: go.Figure) -> str:
    """A figure as HTML, without plotly's script, which the page includes once."""
    # Responsive figures fill the page's width; their heights depend on their content.
    # The id is a hash of the content, not random, so that the same run gives the same page.
    name = hashlib.sha256(shown.to_json().encode()).hexdigest()[:16]
    text: str = shown.to_html(
        full_html=False,
        div_id=f"figure-{name}",
        include_plotlyjs=False,
        config={"responsive": True, "displaylogo": False, "displayModeBar": "hover"},
    )
    return text


def table(frame: pd.DataFrame) -> str:
    """A table of formatted cells; numeric columns are aligned right."""

    def numeric(name: str) -> str:
        return ' class="number"' if frame[name].map(_is_number).all() else ""

    classes = {name: numeric(name) for name in frame}
    head = "".join(f"<th{classes[name]}>{html.escape(str(name))}</th>" for name in frame)
    rows = "".join(
        "<tr>"
        + "".join(f"<td{classes[name]}>{html.escape(str(row[name]))}</td>" for name in frame)
        + "</tr>"
        for row in frame.to_dict("records")
    )
    return f'<div class="scroll"><table><tr>{head}</tr>{rows}</table></div>'


def _is_number(cell: object) -> bool:
    return str(cell)[:1] in set("0123456789-–−")
