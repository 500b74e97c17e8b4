"""The main job: from crystals to element tables."""
