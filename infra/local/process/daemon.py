"""The process of a cloud: EC2 API and registry mirror, until SIGINT or SIGTERM."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from infra.local.errors import DockerFailedError, LocalCloudError, StateUnreadableError
from infra.local.instances.instance import DockerMachine, survey_argv
from infra.local.settings import CLOUD_LABEL

if TYPE_CHECKING:
    from infra.local.docker import DockerCommand
    from infra.local.ec2.state import CloudState
    from infra.local.settings import CloudSettings

_QUIET_SECONDS: Final = 1.0


def log(message: str) -> None:
    """Write one line to the daemon's log."""
    sys.stderr.write(f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%f} {message}\n")
    sys.stderr.flush()


def remembered(settings: CloudSettings, docker: DockerCommand) -> CloudState:
    """Return the saved state, or a new one. Raises StateUnreadableError when it is lost while instances remain."""
    # moto takes seconds to import; only the daemon does.
    from infra.local.ec2 import state as memory
    from infra.local.ec2.backend import CloudBackend

    if settings.state_file.exists():
        return memory.load(settings.state_file, settings.name)
    left = docker.run(survey_argv(settings)).split()
    if left:
        raise StateUnreadableError(
            f"The state of the local cloud '{settings.name}' is gone, and {len(left)} of its instances remain.",
            f"Remove them: python -m infra.local stop --all --name {settings.name}",
        )
    return memory.CloudState(CloudBackend(settings.subnet))


def serve(settings: CloudSettings, docker: DockerCommand, host_image: str) -> None:
    """Serve until SIGTERM. Raises LocalCloudError when the cloud cannot come up."""
    from moto.moto_server.werkzeug_app import MotoRequestHandler
    from werkzeug.serving import make_server

    from infra.local.api.cloud import Cloud
    from infra.local.images.registry import serve_registry

    class QuietHandler(MotoRequestHandler):
        def log_request(self, *_: Any, **__: Any) -> None:
            """Log nothing: the cloud logs the requests that change something."""

    machine = DockerMachine(settings, docker, host_image, log)
    cloud = Cloud(settings, remembered(settings, docker), machine, log)
    server = make_server("127.0.0.1", settings.port, cloud, threaded=True, request_handler=QuietHandler)
    registry = serve_registry(settings, docker, log)
    try:
        cloud.reconcile(power_back=True)
    except LocalCloudError as error:
        log(f"start: {error}")
    threading.Thread(target=_follow, args=(cloud, settings, docker), daemon=True, name="events").start()

    def end(*_: object) -> None:
        threading.Thread(target=server.shutdown, name="end").start()

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    log(f"cloud '{settings.name}' answers at {settings.endpoint}, process {os.getpid()}")
    server.serve_forever()
    registry.shutdown()
    log("ended")


def _follow(cloud: Any, settings: CloudSettings, docker: DockerCommand) -> None:
    """Reconcile after every event of a container; after a restart of the engine as after a power cut."""
    power_back = False
    while True:
        try:
            if power_back:
                cloud.reconcile(power_back=True)
            for event in docker.events(f"{CLOUD_LABEL}={settings.name}"):
                # A container that is restarted by hand stops and starts: read it once it has settled.
                if event == "die":
                    time.sleep(_QUIET_SECONDS)
                cloud.reconcile()
        except DockerFailedError as error:
            log(f"docker: {error}")
        power_back = True
        time.sleep(_QUIET_SECONDS)
