"""The EC2 API: moto answers; a request that changes something is reconciled before its answer is sent."""

from __future__ import annotations

import base64
import io
import json
import os
import re
import threading
import time
from datetime import UTC, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs, urlencode
from xml.sax.saxutils import escape

from moto.moto_server.werkzeug_app import create_backend_app
from werkzeug.test import run_wsgi_app
from werkzeug.wrappers import Request, Response

from infra.local.ec2 import backend as ec2
from infra.local.ec2 import state as memory
from infra.local.errors import LocalCloudError
from infra.local.instances.reconcile import Reconciler
from infra.local.settings import REGION, STATUS_PATH

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from infra.local.instances.instance import Machine
    from infra.local.settings import CloudSettings

_SCOPE: Final = re.compile(r"Credential=[^/]+/\d+/(?P<region>[^/]+)/(?P<service>[^/]+)/aws4_request")
_READING: Final = ("Describe", "Get")
_SERVICES: Final = ("ec2", "sts")


class Cloud:
    """A WSGI application. One request at a time, so that every answer is the observed state."""

    def __init__(
        self, settings: CloudSettings, state: memory.CloudState, machine: Machine, log: Callable[[str], None]
    ):
        self._settings = settings
        self._state = state
        self._log = log
        self._lock = threading.RLock()
        self._reconciler = Reconciler(state, machine, self._save, log)
        ec2.install(state.backend)
        self._apps: dict[str, Any] = {"ec2": create_backend_app("ec2")}

    def reconcile(self, *, power_back: bool = False) -> None:
        """Reconcile containers and EC2's objects now. Raises LocalCloudError."""
        with self._lock:
            self._reconciler.run(power_back=power_back)

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Answer one request as PEP 3333 defines."""
        return self._answer(Request(environ))(environ, start_response)

    def _answer(self, request: Request) -> Response:
        if request.path == STATUS_PATH:
            return Response(json.dumps(self.status()), content_type="application/json")
        scope = _SCOPE.search(request.headers.get("Authorization", ""))
        service = scope["service"] if scope else "ec2"
        if service not in _SERVICES:
            return _error(
                "InvalidAction", f"This local cloud answers for {' and '.join(_SERVICES)}, not {service}."
            )
        if scope and service == "ec2" and scope["region"] != REGION:
            return _error(
                "InvalidRegion", f"This local cloud has one region, {REGION}, not {scope['region']}."
            )
        body = request.get_data()
        fields = parse_qs(body.decode("utf-8", "replace")) | parse_qs(request.query_string.decode())
        action = (fields.get("Action") or [""])[0]
        body = _as_moto_reads(action, fields, body)
        request.environ |= {"wsgi.input": io.BytesIO(body), "CONTENT_LENGTH": str(len(body))}
        with self._lock:
            try:
                return self._perform(service, action, fields, request.environ)
            except LocalCloudError as error:
                self._log(f"{action}: {error}")
                # Not a server error in HTTP's sense: clients would retry, which does not help.
                return _error("LocalCloudFailure", f"{error} {error.hint}".strip())

    def _perform(
        self, service: str, action: str, fields: dict[str, list[str]], environ: dict[str, Any]
    ) -> Response:
        if service != "ec2":
            return self._forward_to_moto(service, environ)
        if action.startswith(_READING):
            self._reconciler.run()
            if action == "GetConsoleOutput":
                console = self._console_output((fields.get("InstanceId") or [""])[0])
                if console is not None:
                    return console
            return self._forward_to_moto(service, environ)
        response = self._forward_to_moto(service, environ)
        if response.status_code == HTTPStatus.OK:
            began = time.monotonic()
            self._save()
            self._reconciler.run()
            self._log(f"{action}: done in {time.monotonic() - began:.1f} s")
        return response

    def _forward_to_moto(self, service: str, environ: dict[str, Any]) -> Response:
        if service == "sts" and service not in self._apps:
            self._apps[service] = create_backend_app("sts")
        body, status, headers = run_wsgi_app(self._apps[service], environ, buffered=True)
        return Response(b"".join(body), status=status, headers=headers)

    def _console_output(self, instance_id: str) -> Response | None:
        if instance_id not in {instance.id for instance in self._state.backend.all_instances()}:
            return None
        output = base64.b64encode(self._reconciler.console(instance_id).encode()).decode()
        fields = {
            "instanceId": instance_id,
            "timestamp": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z"),
        }
        content = "".join(
            f"<{tag}>{escape(text)}</{tag}>" for tag, text in {**fields, "output": output}.items()
        )
        name = "GetConsoleOutputResponse"
        xml = f'<{name} xmlns="http://ec2.amazonaws.com/doc/2016-11-15/">{content}</{name}>'
        return Response(xml, content_type="text/xml")

    def status(self) -> dict[str, Any]:
        """Return what `python -m infra.local status --json` prints."""
        problem = ""
        with self._lock:
            try:
                self._reconciler.run()
            except LocalCloudError as error:
                problem = str(error)
            instances = [
                {
                    "id": instance.id,
                    "state": instance.state,
                    "private_address": instance.private_ip,
                    "public_address": instance.public_ip,
                    "name": next((tag["value"] for tag in instance.get_tags() if tag["key"] == "Name"), ""),
                }
                for instance in self._state.backend.all_instances()
            ]
        return {
            "name": self._settings.name,
            "pid": os.getpid(),
            "endpoint": self._settings.endpoint,
            "region": REGION,
            "network": self._settings.network,
            "subnet": str(self._settings.subnet),
            "registry_mirror": self._settings.registry_url,
            "instances": instances,
            "problem": problem,
        }

    def _save(self) -> None:
        memory.save(self._state, self._settings.state_file)


def _as_moto_reads(action: str, fields: dict[str, list[str]], body: bytes) -> bytes:
    """Return the request's body, with new user-data encoded once more: moto decodes it twice, EC2 once."""
    if action != "ModifyInstanceAttribute" or "UserData.Value" not in fields:
        return body
    encoded = base64.b64encode(fields["UserData.Value"][0].encode()).decode()
    return urlencode({**fields, "UserData.Value": [encoded]}, doseq=True).encode()


def _error(code: str, message: str) -> Response:
    error = f"<Error><Code>{escape(code)}</Code><Message>{escape(message)}</Message></Error>"
    xml = f"<Response><Errors>{error}</Errors><RequestID>local</RequestID></Response>"
    return Response(xml, status=HTTPStatus.BAD_REQUEST, content_type="text/xml")
