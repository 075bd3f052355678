"""Stands in for `docker`: keeps containers and images in a JSON file, and writes down every call.

Everything lies in ~/docker: state.json, calls.jsonl, `unhealthy`, which lists digests or services that never
become healthy, and `broken-build`, which lists services whose build fails, `slow`, the seconds
that a start takes, and `deaf`, a service that does not take its next signal.
"""

import fcntl
import hashlib
import json
import os
import re
import sys
import time
from pathlib import Path

home = Path(os.environ["HOME"]) / "docker"
lock = (home / "lock").open("w")
fcntl.flock(lock, fcntl.LOCK_EX)
argv = sys.argv[1:]
with (home / "seen.jsonl").open("a") as seen:
    # All that anybody on the host could see of this process.
    seen.write(json.dumps({"argv": argv, "environment": dict(os.environ)}) + "\n")
file = home / "state.json"
state = json.loads(file.read_text()) if file.exists() else {"containers": {}, "images": {}}


def listed(name):
    path = home / name
    return set(path.read_text().split()) if path.exists() else set()


def option(name):
    return argv[argv.index(name) + 1] if name in argv else None


def digests():
    text = Path(option("--env-file")).read_text()
    found = dict(re.findall(r"^(\w+)='(.*)'$", text, re.M))
    return {
        name[7:-7].lower().replace("_", "-"): value
        for name, value in found.items()
        if name.endswith("_DIGEST")
    }


def note(words):
    with (home / "calls.jsonl").open("a") as out:
        out.write(json.dumps(words) + "\n")


def image_id(name):
    return "sha256:" + hashlib.sha256(name.encode()).hexdigest()


def build(services):
    note(["build", *services])
    for service in services:
        print(f"#1 building {service}")
        if service in listed("broken-build"):
            sys.exit(f"target {service}: failed to solve")
        name = f"onebox/{service}:{digests()[service]}"
        state["images"][name] = image_id(name)


def up(words):
    slow = home / "slow"
    if slow.exists():
        fcntl.flock(lock, fcntl.LOCK_UN)
        time.sleep(float(slow.read_text()))
    service, digest = words[-1], digests()[words[-1]]
    note(["up", *[word for word in words if word in ("--force-recreate", "--no-recreate")], service])
    name = f"onebox/{service}:{digest}"
    if name not in state["images"]:
        sys.exit(f"No such image: {name}")
    bad = bool({service, digest} & listed("unhealthy"))
    number = state["count"] = state.get("count", 0) + 1
    made = {"id": f"c{number}", "image": name, "image_id": state["images"][name], "digest": digest}
    if "--force-recreate" in words or service not in state["containers"]:
        state["containers"][service] = made
    state["containers"][service].update(state="running", health="unhealthy" if bad else "healthy")
    if bad:
        file.write_text(json.dumps(state))
        sys.exit(f"container onebox-{service}-1 is unhealthy")


def signal(service, words):
    note(["exec", *words])
    if service in listed("deaf"):
        (home / "deaf").unlink()
        sys.exit(f"kill: no permission in {service}")
    if state["containers"].get(service, {}).get("state") != "running":
        sys.exit(f"service {service} is not running")


def compose(words):
    command, services = words[0], [word for word in words[1:] if not word.startswith("-")]
    if command == "version":
        print("2.26.1")
    elif command == "build":
        build(services)
    elif command == "up":
        up(words)
    elif command == "stop":
        note(["stop", *services])
        for service in services:
            state["containers"][service].update(state="exited", health="unhealthy")
    elif command == "logs":
        print("\n".join(f"line {number} of {services[0]}" for number in range(80)))
        if (home / "said").exists():
            sys.stdout.write((home / "said").read_text())
    elif command == "exec":
        signal(services[0], [word for word in words[1:] if word != "--no-TTY"])
    elif command == "down":
        note(["down"])
        state["containers"].clear()
    else:
        sys.exit(f"unknown compose command {command}")


def inspect(ids):
    rows = []
    for service, item in state["containers"].items():
        if item["id"] in ids:
            rows.append(
                {
                    "Id": item["id"],
                    "RestartCount": item.get("restarts", 0),
                    "HostConfig": {"Memory": 512 << 20},
                    "Image": item["image_id"],
                    "Config": {
                        "Image": item["image"],
                        "Env": ["MODEL_V1_WEIGHT=70", "API_TOKEN=hidden"] if service == "api" else [],
                        "Labels": {
                            "com.docker.compose.service": service,
                            "io.onebox.service-digest": item["digest"],
                        },
                    },
                    "State": {
                        "Status": item["state"],
                        "StartedAt": "2026-11-23T10:00:00.123456789Z",
                        "ExitCode": 137,
                        "Health": {"Status": item["health"], "Log": [{"Output": "connection refused"}]},
                    },
                }
            )
    print(json.dumps(rows))


if argv[0] == "version":
    print("26.1.5")
elif argv[0] == "compose":
    flags = {"--ansi", "--project-name", "--project-directory", "--file", "--env-file"}
    words = argv[1:]
    while words and words[0] in flags:
        words = words[2:]
    compose(words)
elif argv[0] == "ps":
    print("\n".join(item["id"] for item in state["containers"].values()))
elif argv[0] == "exec":
    words = [word for word in argv[1:] if word != "--interactive"]
    if words[0] not in [item["id"] for item in state["containers"].values()]:
        sys.exit(f"No such container: {words[0]}")
    fcntl.flock(lock, fcntl.LOCK_UN)
    os.execvp(words[1], words[1:])  # noqa: S606
elif argv[0] == "stats":
    for item in state["containers"].values():
        print(item["id"], "100.5MiB / 512MiB")
elif argv[0] == "inspect":
    inspect(argv[1:])
elif argv[:2] == ["image", "ls"]:
    for name, digest in state["images"].items():
        print(f"{name} {digest}" if ".ID" in argv[-1] else name)
elif argv[:2] == ["image", "tag"]:
    note(["tag", argv[2], argv[3]])
    state["images"][argv[3]] = state["images"][argv[2]]
elif argv[:2] == ["image", "rm"]:
    note(["rm", argv[2]])
    state["images"].pop(argv[2])
elif argv[:2] == ["container", "rm"]:
    note(["remove", *argv[3:]])
    state["containers"] = {name: item for name, item in state["containers"].items() if item["id"] not in argv}
else:
    sys.exit(f"unknown docker command {argv}")
file.write_text(json.dumps(state))
