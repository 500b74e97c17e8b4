"""The backbones by name."""

from __future__ import annotations

from torch import nn

from trainables.models.cgcnn import CGCNN
from trainables.models.megnet import MEGNet

BACKBONES: dict[str, type[nn.Module]] = {"cgcnn": CGCNN, "megnet": MEGNet}
