"""Measure POST /predict of this service beside a baseline, FastAPI and two model servers, in turns."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from benchmarks.load import Figures, drive, kill, memory_mb, pause, require_wrk, resume

ROOT = Path(__file__).resolve().parents[1]
HERE = ROOT / "benchmarks" / "contestants"
VENVS = ROOT / ".onebox" / "bench"
CONNECTIONS = (1, 16, 64)
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "3"))
SECONDS = int(os.environ.get("BENCH_SECONDS", "3"))
START_SECONDS = 90
FIRST_PORT = 7300


@dataclass
class Contestant:
    """A server: how it is started (`{port}` and `{python}` are filled in) and what was measured."""

    name: str
    command: list[str]
    peer: str | None = None
    """Name of its list of packages; None: this repo's own environment."""
    settings: dict[str, str] = field(default_factory=dict)
    """Variables of its environment beside those that all get."""
    process: subprocess.Popen[bytes] | None = None
    port: int = 0
    runs: dict[int, list[Figures]] = field(default_factory=dict)
    memory: float = 0.0

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid


US, DOCUMENT, FASTAPI = "onebox", "baseline: Flask, scikit-learn", "FastAPI, uvicorn"
EMPTY, EMPTY_WSGI = "empty response, same server", "empty WSGI response, granian"


def contestants() -> list[Contestant]:
    """Return the contestants, each with two worker processes except the document's development server."""
    return [
        Contestant(US, ["{python}", "-m", "images.api.launcher"]),
        Contestant(DOCUMENT, ["{python}", "-m", "benchmarks.contestants.document", "{port}"]),
        Contestant(
            FASTAPI,
            [
                *("{python}", "-m", "uvicorn", "fastapi_app:app", "--port", "{port}", "--workers", "2"),
                *("--log-level", "error", "--no-access-log"),
            ],
            "fastapi",
        ),
        Contestant(
            "BentoML", ["{bin}/bentoml", "serve", "bento_service:Iris", "--port", "{port}"], "bentoml"
        ),
        Contestant("LitServe", ["{python}", "lit_service.py", "{port}"], "litserve"),
        Contestant(EMPTY, ["{python}", "-m", "benchmarks.contestants.empty", "{port}"]),
        Contestant(
            EMPTY_WSGI,
            [
                *("{bin}/granian", "--interface", "wsgi", "--workers", "2", "--blocking-threads", "1"),
                *("--log-level", "error", "--port", "{port}", "empty:application"),
            ],
            "granian",
        ),
    ]


def main() -> None:
    """requests a second, latency, memory and CPU of POST /predict at 1, 16 and 64 connections"""
    from app.training.assemble import train
    from app.training.data import iris
    from app.training.publication import write

    require_wrk()
    rows = [[round(float(value), 2) for value in row] for row in iris().rows[::7]]
    servers = contestants()
    with tempfile.TemporaryDirectory() as directory:
        models = Path(directory) / "models"
        write(train(iris())[0], models)
        try:
            for number, contestant in enumerate(servers):
                start(contestant, FIRST_PORT + number, models, Path(directory) / "state")
                pause(contestant.pid)
            for turn in range(ROUNDS):
                measure(servers, rows, print_round=turn + 1)
        finally:
            stop(servers)
    print("\n".join(table(servers) + ratios(servers)))


def start(
    contestant: Contestant, port: int, models: Path, state: Path, output: IO[bytes] | int = subprocess.DEVNULL
) -> None:
    """Start a server and wait for its first prediction; makes the environment of a peer first."""
    home = environment_of(contestant.peer) if contestant.peer else Path(sys.executable).parents[1]
    fills = {"{port}": str(port), "{python}": str(home / "bin" / "python"), "{bin}": str(home / "bin")}
    command = []
    for word in contestant.command:
        for mark, value in fills.items():
            word = word.replace(mark, value)
        command.append(word)
    environment = {
        "PATH": f"{home / 'bin'}:{os.environ['PATH']}",
        "HOME": os.environ.get("HOME", "/"),
        "MODELS": str(models),
        "API_PORT": str(port),
        "API_WORKERS": "2",
        "API_RATE_LIMIT": "0",
        "LOG_LEVEL": "WARNING",
        "ONEBOX_MODELS_DIR": str(models),
        "ONEBOX_STATE_DIR": str(state),
        "BENTOML_DO_NOT_TRACK": "true",
        **contestant.settings,
    }
    contestant.port = port
    contestant.process = subprocess.Popen(
        command,
        cwd=HERE if contestant.peer else ROOT,
        env=environment,
        stdout=output,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + START_SECONDS
    while not answers(port):
        if contestant.process.poll() is not None or time.monotonic() > deadline:
            raise SystemExit(f"{contestant.name} does not start: {' '.join(command)}")
        time.sleep(0.2)


def stop(servers: list[Contestant]) -> None:
    """End those that were started."""
    for contestant in servers:
        if contestant.process is not None:
            resume(contestant.pid)
            kill(contestant.pid)
            contestant.process.wait()


def environment_of(peer: str) -> Path:
    """Return the virtual environment of a peer, made from its pinned list when it is not there."""
    home = VENVS / peer
    wanted = HERE / f"{peer}.txt"
    kept = home / "made-from.txt"
    if not kept.is_file() or kept.read_text() != wanted.read_text():
        print(f"  packages of {wanted.name} …", flush=True)
        uv = str(Path(sys.executable).parent / "uv")
        subprocess.run([uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(home)], check=True)
        install = [
            uv,
            "pip",
            "install",
            "--quiet",
            "--python",
            str(home / "bin" / "python"),
            "-r",
            str(wanted),
        ]
        subprocess.run(install, check=True)
        kept.write_text(wanted.read_text())
    return home


def answers(port: int) -> bool:
    """Return whether a prediction is answered."""
    body = json.dumps({"features": [5.1, 3.5, 1.4, 0.2]}).encode()
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/predict", body, {"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=5) as response:  # noqa: S310
            return bool(json.load(response)["prediction"] == 0)
    except OSError:
        return False


def measure(servers: list[Contestant], rows: list[list[float]], *, print_round: int) -> None:
    """Run one round: one contestant after the other, the others suspended."""
    for connections in CONNECTIONS:
        for contestant in servers:
            resume(contestant.pid)
            url = f"http://127.0.0.1:{contestant.port}/predict"
            drive(url, connections, 1, rows, contestant.pid)
            figures = drive(url, connections, SECONDS, rows, contestant.pid)
            contestant.memory = max(contestant.memory, memory_mb(contestant.pid))
            pause(contestant.pid)
            contestant.runs.setdefault(connections, []).append(figures)
            print(
                f"  round {print_round}, {connections:>2} connections, {contestant.name:<28}"
                f"{figures.rate:>8.0f}/s  p95 {figures.p95:.2f} ms",
                flush=True,
            )


def middle(contestant: Contestant, connections: int, name: str) -> float:
    """Return the median of a figure over the rounds."""
    return statistics.median(float(getattr(run, name)) for run in contestant.runs[connections])


def table(servers: list[Contestant]) -> list[str]:
    """Return the medians of the rounds, as Markdown."""
    lines = [
        "| server | connections | requests/s | p50 ms | p95 ms | p99 ms | CPU us/request | errors | memory MB |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for contestant in servers:
        for connections in CONNECTIONS:
            figures = [middle(contestant, connections, name) for name in ("rate", "p50", "p95", "p99", "cpu")]
            errors = sum(run.errors for run in contestant.runs[connections])
            lines.append(
                f"| {contestant.name} | {connections} | {figures[0]:.0f} | {figures[1]:.2f} | {figures[2]:.2f} "
                f"| {figures[3]:.2f} | {figures[4]:.0f} | {errors} | {contestant.memory:.0f} |"
            )
    return lines


def ratios(servers: list[Contestant]) -> list[str]:
    """Return the ratios of this service to the others: medians of each round's ratio."""
    us = servers[0]
    lines = [
        "",
        "| this service over | requests/s at 1 | at 16 | at 64 | p95 at 64 | CPU/request at 64 |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for other in servers[1:]:
        rates = [ratio(us, other, connections, "rate") for connections in CONNECTIONS]
        lines.append(
            f"| {other.name} | {rates[0]:.2f} | {rates[1]:.2f} | {rates[2]:.2f} "
            f"| {ratio(us, other, 64, 'p95'):.2f} | {ratio(us, other, 64, 'cpu'):.2f} |"
        )
    return lines


def ratio(us: Contestant, other: Contestant, connections: int, name: str) -> float:
    """Return the median over the rounds of our figure over theirs of the same round."""
    pairs = zip(us.runs[connections], other.runs[connections], strict=True)
    return statistics.median(
        float(getattr(ours, name)) / max(1e-9, float(getattr(theirs, name))) for ours, theirs in pairs
    )
