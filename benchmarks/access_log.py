"""What the access log costs: POST /predict of this service with each value of API_ACCESS_LOG, in turns."""

from __future__ import annotations

import statistics
import subprocess
import tempfile
from pathlib import Path

from benchmarks.load import drive, pause, require_wrk, resume
from benchmarks.serve import FIRST_PORT, ROUNDS, SECONDS, Contestant, ratio, start, stop

MODES = ("off", "errors", "all")
CONNECTIONS = 64
PORTS_APART = 20


def main() -> None:
    """requests a second and CPU of POST /predict with the access log off, of errors, and of all requests"""
    from app.training.assemble import train
    from app.training.data import iris
    from app.training.publication import write

    require_wrk()
    rows = [[round(float(value), 2) for value in row] for row in iris().rows[::7]]
    modes = [
        Contestant(mode, ["{python}", "-m", "images.api.launcher"], settings={"API_ACCESS_LOG": mode})
        for mode in MODES
    ]
    readers = []
    with tempfile.TemporaryDirectory() as directory:
        models = Path(directory) / "models"
        write(train(iris())[0], models)
        try:
            for number, mode in enumerate(modes):
                # A process reads the lines, as Docker does; its CPU time is not the service's.
                reader = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
                readers.append(reader)
                start(
                    mode,
                    FIRST_PORT + PORTS_APART + number,
                    models,
                    Path(directory) / mode.name,
                    reader.stdin or 1,
                )
                pause(mode.pid)
            for turn in range(ROUNDS):
                for mode in modes[turn % len(modes) :] + modes[: turn % len(modes)]:
                    resume(mode.pid)
                    url = f"http://127.0.0.1:{mode.port}/predict"
                    drive(url, CONNECTIONS, 1, rows, mode.pid)
                    mode.runs.setdefault(CONNECTIONS, []).append(
                        drive(url, CONNECTIONS, SECONDS, rows, mode.pid)
                    )
                    pause(mode.pid)
        finally:
            stop(modes)
            for reader in readers:
                if reader.stdin:
                    reader.stdin.close()
                reader.wait()
    print("\n".join(table(modes)))


def table(modes: list[Contestant]) -> list[str]:
    """Return the medians of the rounds, and of each round's ratio to `off`, as Markdown."""
    lines = [
        "| API_ACCESS_LOG | requests/s | to `off` | CPU us/request | to `off` |",
        "| --- | --- | --- | --- | --- |",
    ]
    for mode in modes:
        rate = statistics.median(run.rate for run in mode.runs[CONNECTIONS])
        cpu = statistics.median(run.cpu for run in mode.runs[CONNECTIONS])
        rates, cpus = (ratio(mode, modes[0], CONNECTIONS, name) for name in ("rate", "cpu"))
        lines.append(f"| {mode.name} | {rate:.0f} | {rates:.2f} | {cpu:.0f} | {cpus:.2f} |")
    return lines
