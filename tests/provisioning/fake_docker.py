"""Stands in for `docker`: keeps containers and images in a JSON file, and writes down every call.

Everything lies in ~/docker: state.json, calls.jsonl, `unhealthy`, which lists digests or services that never
become healthy, and `broken-build`, which lists services whose build fails, `slow`, the seconds
that a start takes, `deaf`, a service that does not take its next signal,
and `said`, more words of every log.

A push runs this some fifteen times, and importing json, re, hashlib and pathlib would take four times as long as all
that it does. So it imports what is already there when Python starts.
"""

# ruff: noqa: PTH105, PTH108, PTH123, SIM115

import fcntl
import os
import sys
import time

# Never true when this runs: importing typing would take longer than all that it does.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

home = os.environ["HOME"] + "/docker/"


def to_json(value: object) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(to_json(name) + ": " + to_json(item) for name, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(to_json, value)) + "]"
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t")
        return '"' + escaped + '"'
    if value is None or isinstance(value, bool):
        return "null" if value is None else str(value).lower()
    return repr(value)


def from_json(text: str) -> "dict[str, Any]":
    # Written by this file or by a test.
    value: dict[str, Any] = eval(text, {"true": True, "false": False, "null": None})  # noqa: S307
    return value


def read(name: str) -> str:
    try:
        with open(home + name) as given:
            return given.read()
    except FileNotFoundError:
        return ""


def add(name: str, value: object) -> None:
    with open(home + name, "a") as out:
        out.write(to_json(value) + "\n")


lock = open(home + "lock", "w")
fcntl.flock(lock, fcntl.LOCK_EX)
argv = sys.argv[1:]
# All that anybody on the host could see of this process.
add("seen.jsonl", {"argv": argv, "environment": dict(os.environ)})
state = from_json(read("state.json") or '{"containers": {}, "images": {}}')


def save() -> None:
    # Whoever asks the daemon never ends it: a command killed at any time leaves the state before or the state after.
    text = to_json(state)
    if text == read("state.json"):
        return
    with open(home + "state.json.new", "w") as out:
        out.write(text)
    os.replace(home + "state.json.new", home + "state.json")


def listed(name: str) -> set[str]:
    return set(read(name).split())


def option(name: str) -> str:
    return argv[argv.index(name) + 1]


def digests() -> dict[str, str]:
    with open(option("--env-file")) as given:
        found = dict(line.strip().split("=", 1) for line in given)
    return {
        name[7:-7].lower().replace("_", "-"): value.strip("'")
        for name, value in found.items()
        if name.endswith("_DIGEST")
    }


def note(words: list[str]) -> None:
    add("calls.jsonl", words)


def image_id(name: str) -> str:
    # Of the length of a real one, and the same for the same name only.
    return "sha256:" + name.encode().hex()[-64:].rjust(64, "0")


def build(services: list[str]) -> None:
    note(["build", *services])
    for service in services:
        print(f"#1 building {service}")
        if service in listed("broken-build"):
            sys.exit(f"target {service}: failed to solve")
        name = f"onebox/{service}:{digests()[service]}"
        state["images"][name] = image_id(name)


def up(words: list[str]) -> None:
    if read("slow"):
        fcntl.flock(lock, fcntl.LOCK_UN)
        time.sleep(float(read("slow")))
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
        save()
        sys.exit(f"container onebox-{service}-1 is unhealthy")


def signal(service: str, words: list[str]) -> None:
    note(["exec", *words])
    if service in listed("deaf"):
        os.unlink(home + "deaf")
        sys.exit(f"kill: no permission in {service}")
    if state["containers"].get(service, {}).get("state") != "running":
        sys.exit(f"service {service} is not running")


def compose(words: list[str]) -> None:
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
        sys.stdout.write(read("said"))
    elif command == "down":
        note(["down"])
        state["containers"].clear()
    else:
        sys.exit(f"unknown compose command {command}")


def inspect(ids: list[str]) -> None:
    rows = []
    for service, item in state["containers"].items():
        if item["id"] in ids:
            rows.append(
                {
                    "Id": item["id"],
                    "RestartCount": item.get("restarts", 0),
                    "HostConfig": {"Memory": 512 << 20},
                    "NetworkSettings": {"Ports": item.get("ports") or {}},
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
    print(to_json(rows))


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
    services = [name for name, item in state["containers"].items() if item["id"] == words[0]]
    if not services:
        sys.exit(f"No such container: {words[0]}")
    if words[-1].startswith("kill "):
        # The first process of a container; here it would be the machine's.
        signal(services[0], [services[0], *words[1:]])
        save()
        sys.exit()
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
save()
