"""The local cloud's daemon in this process."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest
from werkzeug.serving import make_server

from infra.local.api.cloud import Cloud
from infra.local.ec2 import state as memory
from infra.local.ec2.backend import ACCOUNT, CloudBackend
from infra.local.settings import REGION, cloud_settings
from tests.infra.local.running import FakeMachine, Running

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Running]:
    from moto.ec2.models import ec2_backends

    before = ec2_backends[ACCOUNT].pop(REGION, None)
    settings = cloud_settings("t", 4999, "10.9.8.0/24", tmp_path, tmp_path)
    machine = FakeMachine()
    served = Cloud(settings, memory.CloudState(CloudBackend(settings.subnet)), machine, lambda _: None)
    server = make_server("127.0.0.1", 0, served, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    running = Running(settings, machine, served, server.server_port)
    yield running
    running.ec2.close()
    server.shutdown()
    thread.join()
    server.server_close()
    ec2_backends[ACCOUNT].pop(REGION, None)
    if before is not None:
        ec2_backends[ACCOUNT][REGION] = before
