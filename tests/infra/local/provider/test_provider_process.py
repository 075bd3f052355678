"""The plugin as a process: what the engine sees of it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import grpc
import pytest
from google.protobuf import empty_pb2
from pulumi.runtime.proto import provider_pb2_grpc

from infra.local.provider import VERSION

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.process

SHIM = Path(__file__).resolve().parents[4] / "infra" / "local" / "provider" / "pulumi-resource-aws"
START_SECONDS = 5.0
"""Far above the usual half second, since other tests may use the machine."""


@pytest.fixture
def plugin(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Started as the engine does it: through a link, in the program's directory, with the engine's address."""
    link = tmp_path / "pulumi-resource-aws"
    link.symlink_to(SHIM)
    environment = {**os.environ, "ONEBOX_PYTHON": sys.executable}
    environment.pop("PYTHONPATH", None)
    command = [str(link), "-v=3", "--logtostderr", "127.0.0.1:1"]
    process = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True)
    yield process
    process.kill()
    process.communicate()


def first_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline()


def test_the_first_line_is_the_port_alone_and_comes_soon(plugin: subprocess.Popen[str]) -> None:
    started = time.monotonic()
    line = first_line(plugin)
    assert time.monotonic() - started < START_SECONDS
    assert line.removesuffix("\n").isdecimal()


def test_it_answers_at_that_port(plugin: subprocess.Popen[str]) -> None:
    with grpc.insecure_channel(f"127.0.0.1:{int(first_line(plugin))}") as channel:
        stub = provider_pb2_grpc.ResourceProviderStub(channel)
        assert stub.GetPluginInfo(empty_pb2.Empty(), timeout=5).version == VERSION


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_it_cleanly(plugin: subprocess.Popen[str], sent: signal.Signals) -> None:
    first_line(plugin)
    plugin.send_signal(sent)
    assert plugin.wait(timeout=5) == 0


def test_it_ends_when_the_engine_was_killed(tmp_path: Path) -> None:
    environment = {**os.environ, "ONEBOX_PYTHON": sys.executable}
    command = ["sh", "-c", f"'{SHIM}' 127.0.0.1:1 & wait"]
    with subprocess.Popen(
        command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True
    ) as engine:
        assert first_line(engine).strip().isdecimal()
        engine.kill()
        assert engine.stdout is not None
        assert engine.stdout.read() == "", "the pipe closes when the plugin, its last holder, has ended"
