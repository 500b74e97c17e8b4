"""What the trained models tell about the elements: selection, geometry, tables, figures."""
