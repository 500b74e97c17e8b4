"""Cutoffs in Å: up to there a network's graphs have neighbours, and its radial functions reach."""

from __future__ import annotations

CGCNN = 8.0  # 12 nearest within it (Xie & Grossman 2018)
MEGNET = 4.0  # all within it (Chen et al. 2019, as in the thesis); coGN takes the same graphs
SCHNET = 5.0
TENSOR = 4.0
SE3 = 6.0
SLABS = 8.0
