"""The processes that work for this one."""

from __future__ import annotations

import psutil


def children() -> list[psutil.Process]:
    """Those of `nodes.processes`; the one that reads CIF files for other tests is none of them."""
    found = psutil.Process().children()
    return [one for one in found if any("orchestrator.nodes.child" in part for part in said(one))]


def said(process: psutil.Process) -> list[str]:
    """Its command line; nothing once it is gone."""
    try:
        return list(process.cmdline())
    except psutil.Error:
        return []
