"""Publish the result of training: artifacts on disk, and a summary table."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

from app.manifest import MANIFEST, Manifest
from app.training.card import CARD
from app.training.forests import describe_params


def write(files: Mapping[str, bytes], out: Path) -> None:
    """Write the files atomically, the manifest last: a reader finds the old set, the new set, or a digest mismatch."""
    out.mkdir(parents=True, exist_ok=True)
    for name, content in sorted(files.items(), key=lambda item: item[0] == MANIFEST):
        handle, part = tempfile.mkstemp(dir=out, prefix=f".{name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
                # mkstemp creates a private file, and the container runs as another user.
                os.fchmod(file.fileno(), 0o644)
            Path(part).replace(out / name)
        except BaseException:
            Path(part).unlink(missing_ok=True)
            raise


def table(manifest: Manifest, out: Path) -> str:
    """Return a summary of the models as a text table."""
    lines = [f"{'model':<7}{'params':<34}{'held-out accuracy (95 %)':<27}{'log loss (95 %)':<27}file"]
    for version, entry in manifest.models.items():
        params = describe_params(entry.params)
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
