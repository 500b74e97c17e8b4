"""GPUs for which a plan can be made."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Gpu:
    """A card: memory in GB, bandwidth in GB/s, FP32 rate outside tensor cores in TFLOP/s."""

    memory: float
    bandwidth: float
    tflops: float


# From the vendors' data sheets.
GPUS = {
    "h200": Gpu(141, 4800, 67.0),
    "h100": Gpu(80, 3350, 67.0),  # SXM
    "h100-pcie": Gpu(80, 2000, 51.0),
    "a100": Gpu(80, 2039, 19.5),  # SXM
    "a100-40gb": Gpu(40, 1555, 19.5),
    "l40s": Gpu(48, 864, 91.6),
    "l4": Gpu(24, 300, 30.3),
    "a10g": Gpu(24, 600, 35.0),
    "v100": Gpu(32, 900, 15.7),
    "t4": Gpu(16, 320, 8.1),
    "rtx4090": Gpu(24, 1008, 82.6),
    "rtx3090": Gpu(24, 936, 35.6),
}
