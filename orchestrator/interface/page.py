"""A self-contained HTML page: figures, tables and the page around them.

Tags and sentences are in templates, `*.html` in the folders of their subjects. All values are
escaped, except markup made by this module; a name that a template lacks is an error.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from orchestrator.interface.format import counted, duration, significant

if TYPE_CHECKING:  # a job writes its report at its end, and starts without what that needs
    import plotly.graph_objects as go


@cache
def _environment() -> Environment:
    made = Environment(
        loader=PackageLoader("orchestrator", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals |= {"figure": figure, "folded": folded, "table": table}
    made.filters |= {"counted": counted, "duration": duration, "significant": significant}
    return made


def render(title: str, subtitle: str, sections: Sequence[tuple[str, Markup]]) -> str:
    """Renders the page; `sections` are pairs of a heading and HTML."""
    from plotly.offline import get_plotlyjs  # here, as above

    return _environment().get_template("interface/page.html").render(
        title=title, subtitle=subtitle, sections=sections, plotly=Markup(get_plotlyjs())
    )  # fmt: skip


def section(job: str, name: str, values: Mapping[str, object]) -> Markup:
    """Renders the macro `name` of `orchestrator/JOB/sections.html` with `values`."""
    macros = _environment().get_template(f"{job}/sections.html").module
    return Markup(getattr(macros, name)(**values))


def figure(shown: go.Figure) -> Markup:
    """A figure as HTML, without plotly's script, which the page includes once."""
    # Responsive figures fill the page's width; their heights depend on their content.
    # The id is a hash of the content, not random, so that the same run gives the same page.
    name = hashlib.sha256(shown.to_json().encode()).hexdigest()[:16]
    return Markup(
        shown.to_html(
            full_html=False,
            div_id=f"figure-{name}",
            include_plotlyjs=False,
            config={"responsive": True, "displaylogo": False, "displayModeBar": "hover"},
        )
    )


def folded(figures: Sequence[Mapping[str, object]]) -> Markup:
    """Figures of which those that are not `open` show their `title` alone until it is clicked."""
    return Markup(_environment().get_template("interface/folded.html").render(figures=figures))


def table(frame: pd.DataFrame) -> Markup:
    """A table of formatted cells; numeric columns are aligned right, empty ones left out."""
    frame = frame.loc[:, [not len(frame) or (frame[name] != "").any() for name in frame]]
    numeric = [name for name in frame if frame[name].map(_is_number).all()]
    template = _environment().get_template("interface/table.html")
    return Markup(template.render(frame=frame, numeric=numeric))


def _is_number(cell: object) -> bool:
    return str(cell)[:1] in set("0123456789-–−")
