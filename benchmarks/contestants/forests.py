"""Both ONNX forests behind a random split, for the contestants that bring their own server."""

from __future__ import annotations

import os
import random
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

CLASSES = ("setosa", "versicolor", "virginica")


class Forests:
    """The models of the directory in MODELS."""

    def __init__(self) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        directory = Path(os.environ["MODELS"])
        self._sessions = {
            version: onnxruntime.InferenceSession(
                str(directory / f"model_{version}.onnx"), options, providers=["CPUExecutionProvider"]
            )
            for version in ("v1", "v2")
        }

    def predict(self, features: list[float]) -> dict[str, Any]:
        """Return class, probabilities and version for one row."""
        version = "v1" if random.random() < 0.5 else "v2"  # noqa: S311 - a traffic split
        session = self._sessions[version]
        row = np.array([features], dtype=np.float32)
        (chances,) = session.run([session.get_outputs()[1].name], {session.get_inputs()[0].name: row})
        votes = chances[0].tolist()
        index = votes.index(max(votes))
        return {
            "prediction": index,
            "class": CLASSES[index],
            "probabilities": dict(zip(CLASSES, votes, strict=True)),
            "model_version": version,
        }
