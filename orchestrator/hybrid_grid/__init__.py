"""The main job: from crystals to tables of the elements."""
