"""A model bundle: the models of one manifest with their decoder, ring buffer and drift monitor. Replaced as a whole."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from app.drift.monitor import DriftMonitor
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
class ModelBundle:
    """Everything that one worker needs to serve one manifest."""

    models: ModelSet
    decoder: RowDecoder | None
    """None without a manifest: no prediction is possible then."""
    classes: list[str]
    ring: RingWriter | None
    ring_dir: Path
    drift: DriftMonitor | None
    """None without a manifest."""

    @property
    def sha256(self) -> str | None:
        """Return the SHA-256 of the manifest; None without one."""
        return self.models.catalogue.sha256 if self.models.catalogue else None

    def close(self) -> None:
        """Release the ring to other workers. No prediction may use the bundle after this."""
        if self.ring is not None:
            self.ring.close()

    def rows(self, body: bytes) -> tuple[list[Row], bool]:
        """See `RowDecoder.rows`; raise NoModelError without a manifest."""
        if self.decoder is None:
            raise NoModelError("no model is loaded")
        return self.decoder.rows(body)


def load_bundle(models_dir: Path, rings_dir: Path, max_rows: int) -> ModelBundle:
    """Load a models directory. Never raises for a bad file; see `models.load_models`.

    Each manifest has its own directory of rings below rings_dir, named by the first 16 digits of its SHA-256: the
    features of another manifest mean something else.
    """
    models = load_models(models_dir)
    if models.catalogue is None:
        return ModelBundle(models, None, [], None, rings_dir / NO_MANIFEST, None)
    manifest = models.catalogue.manifest
    ring_dir = rings_dir / models.catalogue.sha256[:16]
    ring_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    return ModelBundle(
        models=models,
        decoder=RowDecoder(manifest.features, max_rows),
        classes=list(manifest.classes),
        ring=RingWriter(ring_dir, len(manifest.features)),
        ring_dir=ring_dir,
        drift=DriftMonitor(models.catalogue, lambda: recent(ring_dir, len(manifest.features), WINDOW)),
    )
