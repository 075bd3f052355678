"""The command line of the local cloud. Exit codes: 0 done, 1 failed, 2 wrong usage, 3 not running."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from infra.local.docker import DockerCommand, check_engine
from infra.local.errors import BadSettingError, LocalCloudError, NotRunningError
from infra.local.images.host_image import prepare
from infra.local.process import lifecycle
from infra.local.settings import (
    DEFAULT_NAME,
    DEFAULT_PORT,
    DEFAULT_REGISTRY_PORT,
    DEFAULT_SUBNET,
    REGION,
    CloudSettings,
    cloud_settings,
    settings_from_json,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

FAILED: Final = 1
USAGE: Final = 2
NOT_RUNNING: Final = 3


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m infra.local", description="Run a local cloud on this machine."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--name", default=DEFAULT_NAME, help="name of the cloud (default: %(default)s)")
    common.add_argument("--state-dir", type=Path, help="state directory (default: .onebox/cloud/NAME)")
    common.add_argument(
        "--cache-dir", type=Path, help="directory shared by several clouds (default: .onebox/cache)"
    )
    common.add_argument(
        "--port", type=int, help=f"port of the EC2 API on 127.0.0.1 (default: {DEFAULT_PORT})"
    )
    common.add_argument("--subnet", help=f"subnet of its network (default: {DEFAULT_SUBNET})")
    common.add_argument(
        "--registry-port", type=int, help=f"port of the registry mirror (default: {DEFAULT_REGISTRY_PORT})"
    )
    commands.add_parser("start", parents=[common], help="start the daemon unless it runs")
    stop = commands.add_parser("stop", parents=[common], help="stop the daemon; instances keep running")
    stop.add_argument("--all", action="store_true", help="also remove instances, their disks and the network")
    status = commands.add_parser("status", parents=[common], help="show endpoint, process and instances")
    status.add_argument("--json", action="store_true", help="print JSON")
    commands.add_parser("prepare", parents=[common], help="fetch and build the images")
    commands.add_parser("config", parents=[common], help="print what a stack's configuration needs, as JSON")
    serve = commands.add_parser(
        "serve", help="run the daemon in the foreground (start runs it in the background)"
    )
    serve.add_argument("--state-dir", type=Path, required=True)
    serve.add_argument("host_image")
    return parser


def _settings(options: argparse.Namespace) -> CloudSettings:
    """Return the settings of the command line; what it omits is as the cloud was started."""
    given = {
        key: value
        for key in ("name", "port", "subnet", "state_dir", "cache_dir", "registry_port")
        if (value := getattr(options, key, None)) is not None
    }
    fresh = cloud_settings(**given)
    known = fresh.state_dir / lifecycle.SETTINGS_FILE
    if not known.is_file():
        return fresh
    started = json.loads(known.read_text())
    return settings_from_json(json.dumps({**started, **{key: _plain(value) for key, value in given.items()}}))


def _plain(value: object) -> object:
    return str(value.absolute()) if isinstance(value, Path) else value


def _progress(message: str) -> None:
    sys.stderr.write(f"local cloud: {message}\n")
    sys.stderr.flush()


def _print(content: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(content, indent=2) + "\n")


def _describe(status: dict[str, Any]) -> str:
    lines = [
        f"cloud     {status['name']} (process {status['pid']})",
        f"endpoint  {status['endpoint']} (EC2, {status['region']})",
        f"network   {status['network']} {status['subnet']}",
        f"mirror    {status['registry_mirror']}",
    ]
    lines += [
        f"instance  {one['id']} {one['state']:<10} {one['private_address'] or '-':<15} "
        f"{one['public_address'] or '-':<15} {one['name']}".rstrip()
        for one in status["instances"]
    ]
    lines += [f"problem   {status['problem']}"] if status["problem"] else []
    return "\n".join(lines) + "\n"


def _start(options: argparse.Namespace) -> None:
    docker = DockerCommand()
    check_engine(docker)
    sys.stdout.write(_describe(lifecycle.start(_settings(options), docker, _progress, os.environ)))


def _stop(options: argparse.Namespace) -> None:
    settings = _settings(options)
    try:
        lifecycle.stop(settings)
    except NotRunningError:
        if not options.all:
            raise
    if options.all:
        lifecycle.remove_everything(settings, DockerCommand())


def _status(options: argparse.Namespace) -> None:
    settings = _settings(options)
    status = lifecycle.status(settings)
    if status is None:
        raise NotRunningError(settings.name)
    if options.json:
        _print(status)
    else:
        sys.stdout.write(_describe(status))


def _prepare(_: argparse.Namespace) -> None:
    docker = DockerCommand()
    check_engine(docker)
    _progress(f"ready: {prepare(docker, _progress)}")


def _config(options: argparse.Namespace) -> None:
    settings = _settings(options)
    _print(
        {
            "endpoint": settings.endpoint,
            "region": REGION,
            "gateway": str(settings.gateway),
            "gateway_cidr": f"{settings.gateway}/32",
            "subnet": str(settings.subnet),
            "registry_mirror": settings.registry_url,
            "docker_daemon": {
                "registry-mirrors": [settings.registry_url],
                # BuildKit speaks plain HTTP to a mirror only when it is named here too.
                "insecure-registries": [f"{settings.gateway}:{settings.registry_port}"],
            },
            "ca_files": lifecycle.ca_files(),
        }
    )


def _serve(options: argparse.Namespace) -> None:
    from infra.local.process.daemon import serve

    text = (options.state_dir / lifecycle.SETTINGS_FILE).read_text()
    serve(settings_from_json(text), DockerCommand(), options.host_image)


_COMMANDS: Final = {
    "start": _start,
    "stop": _stop,
    "status": _status,
    "prepare": _prepare,
    "config": _config,
    "serve": _serve,
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; return the exit code."""
    options = _parser().parse_args(argv)
    try:
        _COMMANDS[options.command](options)
    except LocalCloudError as error:
        sys.stderr.write(f"{error}\n{error.hint}\n" if error.hint else f"{error}\n")
        return {NotRunningError: NOT_RUNNING, BadSettingError: USAGE}.get(type(error), FAILED)
    return 0


if __name__ == "__main__":
    sys.exit(main())
