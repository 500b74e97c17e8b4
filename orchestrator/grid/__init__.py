"""What the main job is made of: configuration, cells, distances, tables, sections of its report."""
