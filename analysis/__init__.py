"""Analyses trained models to characterise the elements: selection, geometry, tables, figures."""
