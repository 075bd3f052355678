"""What one worker serves with at a moment: models, their decoder, and the ring for their rows. Swapped as a whole."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from app.drift.monitor import DriftWatch
from app.drift.score import WINDOW
from app.errors import NoModelError
from app.inference.decode import RowDecoder
from app.inference.models import ModelSet, load_models
from app.shm.ring_buffer import RingWriter, recent

if TYPE_CHECKING:
    from pathlib import Path

    from app.inference.decode import Row

NO_MANIFEST = "none"


@dataclass(frozen=True)
class Serving:
    """A set of models that belong together, and what goes with them."""

    models: ModelSet
    decoder: RowDecoder | None
    """None when there is no manifest, so that nothing can be answered."""
    classes: list[str]
    ring: RingWriter | None
    ring_dir: Path
    drift: DriftWatch | None
    """None without a manifest."""

    @property
    def sha256(self) -> str | None:
        """Hash of the manifest; None without one."""
        return self.models.catalogue.sha256 if self.models.catalogue else None

    def close(self) -> None:
        """Leave the ring to another worker, once nothing is answered with this any more."""
        if self.ring is not None:
            self.ring.close()

    def rows(self, body: bytes) -> tuple[list[Row], bool]:
        """See `RowDecoder.rows`; raises NoModelError where there is no manifest."""
        if self.decoder is None:
            raise NoModelError("no model is loaded")
        return self.decoder.rows(body)


def load_serving(models_dir: Path, rings_dir: Path, max_rows: int) -> Serving:
    """What this directory of models can be served with. Never raises for a bad file; see `models.load_models`.

    Rows of other models mean other things, so each manifest has a directory of rings of its own below rings_dir,
    named by the first 16 digits of its hash.
    """
    models = load_models(models_dir)
    if models.catalogue is None:
        return Serving(models, None, [], None, rings_dir / NO_MANIFEST, None)
    manifest = models.catalogue.manifest
    ring_dir = rings_dir / models.catalogue.sha256[:16]
    ring_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    return Serving(
        models=models,
        decoder=RowDecoder(manifest.features, max_rows),
        classes=list(manifest.classes),
        ring=RingWriter(ring_dir, len(manifest.features)),
        ring_dir=ring_dir,
        drift=DriftWatch(models.catalogue, lambda: recent(ring_dir, len(manifest.features), WINDOW)),
    )
