"""Plotly figures of a grid's results; each module draws one."""
