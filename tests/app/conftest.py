from __future__ import annotations

import itertools
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import pytest
from prometheus_client import CollectorRegistry

from app import create_app
from app.settings import ApiSettings
from app.training.assemble import train
from app.training.data import iris
from app.training.publication import write
from tests.app.recorded import Service

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from flask.testing import FlaskClient


ROOT = Path(__file__).resolve().parents[2]


class MakeClient(Protocol):
    def __call__(
        self,
        *,
        models: Path | None = None,
        weights: tuple[int, int] = (50, 50),
        draw: Callable[[], float] | None = None,
    ) -> FlaskClient: ...


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Artifacts as training writes them; not to be changed."""
    out = tmp_path_factory.mktemp("trained")
    files, _ = train(iris())
    write(files, out)
    return out


@pytest.fixture
def artifacts(trained: Path, tmp_path: Path) -> Path:
    """A copy of the artifacts that a test may spoil."""
    return shutil.copytree(trained, tmp_path / "artifacts")


@pytest.fixture
def make_client(trained: Path, tmp_path: Path) -> MakeClient:
    """Makes clients of independent services; by default v1 and v2 take turns."""
    numbers = itertools.count()

    def make(
        *,
        models: Path | None = None,
        weights: tuple[int, int] = (50, 50),
        draw: Callable[[], float] | None = None,
    ) -> FlaskClient:
        turns = itertools.cycle([0.25, 0.75])
        settings = ApiSettings(
            weights=weights, models_dir=models or trained, state_dir=tmp_path / f"state-{next(numbers)}"
        )
        app = create_app(settings, registry=CollectorRegistry(), draw=draw or (lambda: next(turns)))
        return app.test_client()

    return make


@pytest.fixture
def client(make_client: MakeClient) -> FlaskClient:
    return make_client()


@pytest.fixture
def root() -> Path:
    return ROOT


@pytest.fixture
def service(trained: Path, tmp_path: Path) -> Iterator[Service]:
    made = Service(trained, tmp_path)
    yield made
    made.recorder.close()
