"""Load the models: verified against the manifest, loaded as ONNX, checked with their canary row."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from app.errors import ArtifactsError, ModelFailedError, ModelRefusedError
from app.inference.argmax import TIE, most_likely
from app.manifest import VERSIONS, Canary, Catalogue, Manifest, ModelEntry, read_catalogue, sha256

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import onnxruntime
    from numpy.typing import NDArray

CANARY_TOLERANCE = 1e-5
"""Largest difference of a probability: float32 sums depend on the processor's vector width. Labels must be equal."""

UNIT = 1e6
"""Probabilities are rounded to six digits."""
MANY = 4
"""Rows from which on numpy is faster than Python's floats."""
PROBABILITIES = 1
"""Index of the probabilities among a model's outputs; 0 is the label."""


Scored = tuple[int, list[float]]
"""Class index and the probability of each class, in the manifest's order."""


class Model(Protocol):
    """Scores rows."""

    def score(self, row: Sequence[float]) -> Scored:
        """Score one row; raise ModelFailedError."""
        ...

    def score_rows(self, rows: Sequence[Sequence[float]]) -> list[Scored]:
        """Score rows, each as it would be alone; raise ModelFailedError when one of them fails."""
        ...

    def check(self) -> None:
        """Score the canary row; raise ModelFailedError unless the answer is the recorded one."""
        ...


class Arm:
    """One loaded model version."""

    def __init__(self, version: str, session: onnxruntime.InferenceSession, canary: Canary) -> None:
        self.version = version
        self._run = session.run
        self._input = session.get_inputs()[0].name
        self._outputs = [session.get_outputs()[PROBABILITIES].name]
        self._canary = canary

    def score(self, row: Sequence[float]) -> Scored:
        """Score one row; raise ModelFailedError."""
        return self.score_rows([row])[0]

    def score_rows(self, rows: Sequence[Sequence[float]]) -> list[Scored]:
        """Score rows, each as it would be alone; raise ModelFailedError when one of them fails."""
        try:
            (probabilities,) = self._run(self._outputs, {self._input: np.array(rows, dtype=np.float32)})
        except Exception as error:
            raise ModelFailedError(self.version, str(error)) from error
        if len(rows) < MANY:
            return [self._scored(votes) for votes in probabilities.tolist()]
        return self._scored_together(probabilities.astype(np.float64))

    def _scored(self, votes: list[float]) -> Scored:
        # Not sum(), whose order depends on the version of Python: both methods must give the same sum.
        total = 0.0
        for vote in votes:
            total += vote
        # A comparison with NaN is false, so NaN is refused, too.
        if not 0.99 < total < 1.01:
            raise ModelFailedError(self.version, f"the model answered with probabilities {votes}")
        # A sum in float32 may be 0.9999993 where every tree agrees.
        return most_likely(votes), [round(vote / total * UNIT) / UNIT for vote in votes]

    def _scored_together(self, votes: NDArray[np.float64]) -> list[Scored]:
        """Do the same for all rows at once."""
        total = np.zeros(len(votes))
        for column in votes.T:
            total += column
        right = (total > 0.99) & (total < 1.01)
        if not right.all():
            wrong = votes[~right][0].tolist()
            raise ModelFailedError(self.version, f"the model answered with probabilities {wrong}")
        chances = np.rint(votes / total[:, None] * UNIT) / UNIT
        first = (votes >= votes.max(axis=1, keepdims=True) - TIE).argmax(axis=1)
        return list(zip(first.tolist(), chances.tolist(), strict=True))

    def check(self) -> None:
        """Score the canary row; raise ModelFailedError unless the answer is the one recorded in training."""
        index, chances = self.score(self._canary.features)
        same = index == self._canary.prediction and all(
            math.isclose(got, expected, abs_tol=CANARY_TOLERANCE)
            for got, expected in zip(chances, self._canary.probabilities, strict=True)
        )
        if not same:
            raise ModelFailedError(self.version, "the canary row was scored differently than in training")


@dataclass(frozen=True)
class ModelSet:
    """The loaded models of a directory, and why the others are off."""

    catalogue: Catalogue | None
    """None where the manifest or the reference cannot be used; then no model is loaded."""
    arms: Mapping[str, Model]
    refusals: Mapping[str, str]
    """Version -> why it is unavailable, one sentence."""
    reason: str | None = None
    """Why there is no catalogue; None where there is one."""

    def off(self) -> dict[str, str]:
        """Return version -> why it cannot answer: refused when it was loaded, or its canary row fails now."""
        reasons = dict(self.refusals)
        for version, arm in self.arms.items():
            try:
                arm.check()
            except ModelFailedError as error:
                reasons[version] = error.why
        return reasons

    def sha256(self, version: str) -> str | None:
        """Return the SHA-256 of the loaded model file; None for an unavailable version."""
        if self.catalogue is None or version not in self.arms:
            return None
        return self.catalogue.manifest.models[version].sha256


def load_models(directory: Path) -> ModelSet:
    """Load every usable model. Never raises for a bad file: the result holds the reasons."""
    try:
        catalogue = read_catalogue(directory)
    except ArtifactsError as error:
        reason = f"{error}. {error.hint}"
        return ModelSet(None, {}, dict.fromkeys(VERSIONS, reason), reason)
    arms: dict[str, Model] = {}
    refusals: dict[str, str] = {}
    for version in VERSIONS:
        try:
            arms[version] = load_arm(directory, version, catalogue.manifest)
        except ModelRefusedError as error:
            refusals[version] = f"{error}. {error.hint}"
    return ModelSet(catalogue, arms, refusals)


def load_arm(directory: Path, version: str, manifest: Manifest) -> Arm:
    """Load one model and check its digest, shape and canary row; raise ModelRefusedError."""
    entry = manifest.models[version]
    # Imported here: the import starts a thread, and the parent of the workers must not have one.
    import onnxruntime

    # The hashed bytes themselves are loaded: the file could be replaced in between.
    content = _verified(directory, version, entry)
    try:
        session = onnxruntime.InferenceSession(
            content, sess_options=_single_thread(), providers=["CPUExecutionProvider"]
        )
    except Exception as error:
        raise ModelRefusedError(version, entry.file, "is not a model that onnxruntime can load") from error
    why = _misfit(session, entry, manifest)
    if why:
        raise ModelRefusedError(version, entry.file, why)
    arm = Arm(version, session, entry.canary)
    try:
        arm.check()
    except ModelFailedError as error:
        raise ModelRefusedError(version, entry.file, f"does not work: {error.why}") from error
    return arm


def _verified(directory: Path, version: str, entry: ModelEntry) -> bytes:
    try:
        content = (directory / entry.file).read_bytes()
    except FileNotFoundError:
        raise ModelRefusedError(version, entry.file, f"is missing in {directory}") from None
    except OSError as error:
        raise ModelRefusedError(version, entry.file, f"cannot be read: {error.strerror}") from error
    found = sha256(content)
    if found != entry.sha256:
        raise ModelRefusedError(
            version,
            entry.file,
            f"is not the file that the manifest names: {len(content)} bytes with sha256 {found[:12]}…, "
            f"not {entry.sha256[:12]}…",
        )
    return content


def _misfit(session: onnxruntime.InferenceSession, entry: ModelEntry, manifest: Manifest) -> str | None:
    features, classes = len(manifest.features), len(manifest.classes)
    inputs = [(item.type, item.shape[1:]) for item in session.get_inputs()]
    if inputs != [("tensor(float)", [features])]:
        return f"takes {inputs}, not one matrix of {features} float columns"
    outputs = [(item.type, item.shape[1:]) for item in session.get_outputs()]
    if outputs != [("tensor(int64)", []), ("tensor(float)", [classes])]:
        return f"gives {outputs}, not a label and {classes} probabilities"
    if len(entry.canary.features) != features or len(entry.canary.probabilities) != classes:
        return "has a canary row of another shape in the manifest"
    return None


def _single_thread() -> onnxruntime.SessionOptions:
    import onnxruntime

    # One row of a small forest takes microseconds: a thread pool costs more than it saves.
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = 4
    return options
