"""`python app/train_model.py`: train both models, compare them with their ONNX files, write the artifacts."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if __package__ in (None, ""):
    # Python puts the folder of a script first on the path; `app` is not in it.
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from app.errors import ArtifactsError
from app.manifest import read_catalogue, sha256
from app.training.assemble import libraries, train
from app.training.data import iris
from app.training.errors import TrainingError
from app.training.forests import FORESTS
from app.training.publication import table, write
from app.training.table import read_table

if TYPE_CHECKING:
    from app.manifest import Manifest
    from app.training.data import DataSet

DATA_VARIABLE, LABEL_VARIABLE = "ONEBOX_DATA", "ONEBOX_LABEL"


def main(argv: list[str] | None = None) -> int:
    """Train, check, write, print a summary. Return 0 where written or current, 1 where refused and not written."""
    options = _options(argv)
    out: Path = options.out
    try:
        data = read_table(options.data, options.label) if options.data else None
        if options.if_stale and is_current(out, data):
            print(f"{out} holds the current models")
            return 0
        files, manifest = train(data or iris())
    except TrainingError as error:
        print(f"error: {error}.", file=sys.stderr)
        return 1
    write(files, out)
    print(table(manifest, out))
    return 0


def is_current(out: Path, data: DataSet | None = None) -> bool:
    """Return whether the directory holds complete artifacts of these forests, libraries and data.

    data: None accepts Iris and every table of the user's: models of a table stay until the table is named again, for
    without it they cannot be trained.
    """
    try:
        manifest = read_catalogue(out).manifest
        whole = all(
            sha256((out / entry.file).read_bytes()) == entry.sha256 for entry in manifest.models.values()
        )
    except (ArtifactsError, OSError):
        return False
    if data is None and manifest.data.source != iris().source:
        return whole
    return whole and _made_from(manifest, data or iris())


def _made_from(manifest: Manifest, data: DataSet) -> bool:
    forests = {version: dict(entry.params) for version, entry in manifest.models.items()}
    return (
        manifest.libraries == libraries()
        and forests == {version: dict(params) for version, params in FORESTS.items()}
        and (manifest.data.sha256, manifest.data.source, manifest.data.label)
        == (data.sha256, data.source, data.label)
        and (manifest.feature_names, manifest.classes) == (data.feature_names, data.classes)
    )


def _options(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Train both models and write the artifacts that the API serves."
    )
    parser.add_argument(
        "--data",
        type=Path,
        default=os.environ.get(DATA_VARIABLE) or None,
        metavar="CSV",
        help=f"a table with a header line, numeric features and a class (default: ${DATA_VARIABLE}, else Iris)",
    )
    parser.add_argument(
        "--label",
        default=os.environ.get(LABEL_VARIABLE) or None,
        metavar="COLUMN",
        help=f"the column with the class (default: ${LABEL_VARIABLE}, else the last one)",
    )
    parser.add_argument(
        "--out", type=Path, default=Path(__file__).resolve().parent / "artifacts", metavar="DIR"
    )
    parser.add_argument(
        "--if-stale", action="store_true", help="do nothing when DIR already has the same artifacts"
    )
    options = parser.parse_args(argv)
    if options.label is not None and options.data is None:
        parser.error("--label names a column of a table; name the table with --data")
    return options


if __name__ == "__main__":
    sys.exit(main())
