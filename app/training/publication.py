"""How a training run's result leaves it: files on disk, and a table for people."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

from app.manifest import MANIFEST, Manifest
from app.training.card import CARD
from app.training.forests import params_for_people


def write(files: Mapping[str, bytes], out: Path) -> None:
    """Write the files, each by rename, the manifest last: a reader sees the old set, the new set, or refuses."""
    out.mkdir(parents=True, exist_ok=True)
    for name, content in sorted(files.items(), key=lambda item: item[0] == MANIFEST):
        handle, part = tempfile.mkstemp(dir=out, prefix=f".{name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
                # mkstemp makes it private, and the container's user is another one.
                os.fchmod(file.fileno(), 0o644)
            Path(part).replace(out / name)
        except BaseException:
            Path(part).unlink(missing_ok=True)
            raise


def table(manifest: Manifest, out: Path) -> str:
    """A short table for people."""
    lines = [f"{'model':<7}{'params':<34}{'held-out accuracy (95 %)':<27}{'log loss (95 %)':<27}file"]
    for version, entry in manifest.models.items():
        params = params_for_people(entry.params)
        figures = [
            f"{figure.value:.3f} ({figure.low:.3f} to {figure.high:.3f})"
            for figure in (entry.metrics["accuracy"], entry.metrics["log_loss"])
        ]
        lines.append(
            f"{version:<7}{params:<34}{figures[0]:<27}{figures[1]:<27}{entry.file} {entry.sha256[:12]}"
        )
    data = manifest.data
    lines.append(
        f"{data.source}: {len(manifest.features)} features, {len(manifest.classes)} classes in '{data.label}', "
        f"{data.training_rows} training rows, {data.held_out_rows} held out"
    )
    lines.append(
        f"ONNX and forest give the same label on {manifest.agreement_rows:,} rows; written to {out}, see {CARD} there"
    )
    return "\n".join(lines)
