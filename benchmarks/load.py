"""Load a server with wrk, and measure the CPU time and memory of its processes."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
SCRIPT = """
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
local bodies = {%s}
local turn = 0
request = function()
  turn = turn %% #bodies + 1
  return wrk.format(nil, nil, nil, bodies[turn])
end
done = function(summary, latency)
  local e = summary.errors
  io.write(string.format('\\nFIGURES{"requests":%%d,"seconds":%%f,"p50":%%f,"p95":%%f,"p99":%%f,"errors":%%d}\\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(95) / 1e3,
    latency:percentile(99) / 1e3, e.connect + e.read + e.write + e.status + e.timeout))
end
"""


@dataclass(frozen=True)
class Figures:
    """One run: requests a second, latencies in milliseconds, CPU microseconds of the server for each request."""

    rate: float
    p50: float
    p95: float
    p99: float
    errors: int
    cpu: float


def require_wrk() -> str:
    """Return the path of wrk; exit with one sentence where it is missing."""
    found = shutil.which("wrk")
    if found is None:
        raise SystemExit("wrk is needed for this measurement: apt-get install wrk (Debian, Ubuntu)")
    return found


def drive(url: str, connections: int, seconds: int, rows: list[list[float]], root: int | None) -> Figures:
    """Request predictions of the rows in turn. root: the server's first process; None: not on this machine."""
    bodies = ",".join(f"'{json.dumps({'features': row})}'" for row in rows)
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(SCRIPT % bodies)
        script.flush()
        before = cpu_seconds(root) if root else 0.0
        command = [
            require_wrk(),
            "-t1",
            f"-c{connections}",
            f"-d{seconds}s",
            "--timeout",
            "10s",
            "-s",
            script.name,
            url,
        ]
        output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        spent = cpu_seconds(root) - before if root else 0.0
    found = json.loads(output.split("FIGURES", 1)[1])
    count = max(1, found["requests"])
    return Figures(
        rate=found["requests"] / found["seconds"],
        p50=found["p50"],
        p95=found["p95"],
        p99=found["p99"],
        errors=found["errors"],
        cpu=spent / count * 1e6,
    )


def family(root: int) -> list[int]:
    """Return a process and all its descendants."""
    found = [root]
    for pid in found:
        for children in Path(f"/proc/{pid}/task").glob("*/children"):
            # A thread may end in between; one with children does not.
            with contextlib.suppress(OSError):
                found.extend(int(child) for child in children.read_text().split())
    return found


def cpu_seconds(root: int) -> float:
    """Return user and system time of the family in seconds."""
    total = 0
    for pid in family(root):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        total += int(fields[11]) + int(fields[12])
    return total / TICKS


def memory_mb(root: int) -> float:
    """Return the memory of the family in MB; a shared page counts once (PSS)."""
    total = 0
    for pid in family(root):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                total += int(line.split()[1])
    return total / 1024


def pause(root: int) -> None:
    """Suspend a family, so that it takes no CPU from others."""
    _signal(root, signal.SIGSTOP)


def resume(root: int) -> None:
    """Resume a suspended family."""
    _signal(root, signal.SIGCONT)


def kill(root: int) -> None:
    """Kill a family."""
    _signal(root, signal.SIGKILL)


def _signal(root: int, number: signal.Signals) -> None:
    for pid in family(root):
        os.kill(pid, number)
