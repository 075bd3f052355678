"""The model card in Markdown: data, models, quality and limits of use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.training.forests import describe_params

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from app.manifest import Estimate, Manifest, Reference

CARD = "model_card.md"


def model_card(manifest: Manifest, reference: Reference) -> str:
    """Return the card. It holds no timestamp: the same training gives the same text."""
    data = manifest.data
    metrics = next(iter(manifest.models.values())).metrics
    versions = list(manifest.models)
    blocks = [
        "# Model card",
        f"{len(versions)} models that tell {len(manifest.classes)} classes apart by {len(manifest.features)} numeric "
        f"features. They are served side by side behind an A/B split.",
        "## Data",
        f"Source: `{data.source}`, class column `{data.label}`, {data.rows} rows, sha256 `{data.sha256}`. "
        f"{data.training_rows} rows were trained on; {data.held_out_rows}, a fifth of each class, were held out.",
        _table(
            ["feature", "least", "mean", "greatest", "spread (sd)", "accepted by the API"],
            [
                [
                    spec.name,
                    *(f"{value:.4g}" for value in (spec.min, column.mean, spec.max, column.std)),
                    f"{spec.accept_min:.4g} to {spec.accept_max:.4g}",
                ]
                for spec, column in zip(manifest.features, reference.features, strict=True)
            ],
        ),
        _table(
            ["class", "share of the training rows"],
            [[name, f"{reference.class_prior[name]:.1%}"] for name in manifest.classes],
        ),
        "## Models",
        _table(
            ["model", "algorithm", "parameters", "file", "sha256"],
            [
                [version, entry.algorithm, describe_params(entry.params), entry.file, entry.sha256[:12]]
                for version, entry in manifest.models.items()
            ],
        ),
        f"Each file gave the label of its scikit-learn forest on all {manifest.agreement_rows:,} rows that were tried: "
        "every row of the data and rows drawn at random from the accepted ranges.",
        "## Quality on the held-out rows",
        _table(
            ["figure (95 % interval)", *versions],
            [
                [
                    name.replace("_", " "),
                    *(_estimate(manifest.models[version].metrics[name]) for version in versions),
                ]
                for name in metrics
            ],
        ),
        _table(
            ["recall of class (95 % interval)", *versions],
            [
                [name, *(_estimate(manifest.models[version].recall[name]) for version in versions)]
                for name in manifest.classes
            ],
        ),
        "Intervals: Wilson's for accuracy and recall, a posterior of the table of answers for balanced accuracy and "
        "F1, a bootstrap within the classes for log loss. Where those of two models overlap, these rows do not say "
        "which one is better; the experiment on labelled traffic can.",
        "## Limits of use",
        "The models answer any row within the accepted ranges, also one unlike all that they were trained on; "
        "a forest does not extrapolate. Whether recent rows are like the training rows is what the drift test watches: "
        f"its limits let {manifest.drift.alpha:.1%} of windows without drift pass as drift.",
        f"Trained with {', '.join(f'{name} {version}' for name, version in manifest.libraries.items())}.",
    ]
    return "\n\n".join(blocks) + "\n"


def _estimate(figure: Estimate) -> str:
    return f"{figure.value:.3f} ({figure.low:.3f} to {figure.high:.3f})"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(_cell(cell) for cell in line)} |" for line in lines)


def _cell(text: str) -> str:
    # Names come from the user's table and must not break the Markdown.
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").replace("`", "'")
