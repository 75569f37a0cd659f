"""Exchange folders to look at."""

from __future__ import annotations

from pathlib import Path

RUN = "hello-20260131T120000Z-beef"
OTHER = "older-20260131T110000Z-aaaa"
TASK = f"{RUN}.r0000.train.a01"


def exchange(root: Path, *sites: str) -> Path:
    """An exchange folder in which two runs left files."""
    root.mkdir(exist_ok=True)
    (root / "exchange.json").write_text("{}")
    for site in sites or ("site-1",):
        for part in ("tasks", "results", "logs", ".syncthing.fltui.site"):
            (root / site / part).mkdir(parents=True)
        (root / site / "status.json").write_text("{}")
        for run in (RUN, OTHER):
            (root / site / "tasks" / f"{run}.r0000.train.a01").mkdir()
            (root / site / "tasks" / f"{run}.r0000.train.a01" / "w.npy").write_bytes(b"12345")
            (root / site / "tasks" / f"{run}.r0000.train.a01.json").write_text("{}")
            (root / site / "logs" / f"{run}.log").write_text("hello\n")
    return root
