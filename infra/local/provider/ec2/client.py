"""The only caller of EC2: client, translated errors, bounded waits."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any, Final, TypeVar

from infra.local.provider.errors import (
    CancelledError,
    CloudRefusedError,
    CloudUnreachableError,
    WaitTimeoutError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from infra.local.provider.config import ProviderConfig

_CONNECT_SECONDS: Final = 3
_ANSWER_SECONDS: Final = 120  # RunInstances answers only when the instance's container runs
_POLL_SECONDS: Final = 0.25
_IN_USE: Final = frozenset({"DependencyViolation", "InvalidGroup.InUse", "InvalidIPAddress.InUse"})

Found = TypeVar("Found")


class Cloud:
    """EC2 at the configured endpoint. Safe to share between threads; boto3 is loaded at the first call."""

    def __init__(self, config: ProviderConfig, cancelled: threading.Event | None = None) -> None:
        self.config = config
        self._cancelled = cancelled or threading.Event()
        self._lock = threading.Lock()
        self._client: Any = None

    def call(self, operation: str, **parameters: Any) -> dict[str, Any]:
        """Return the response of one EC2 operation, named as in the API (`RunInstances`). Omits None parameters.

        Raises CloudUnreachableError when nothing answers, CloudRefusedError with EC2's error code.
        """
        from botocore import exceptions, xform_name

        method = getattr(self._ec2(), xform_name(operation))
        given = {name: value for name, value in parameters.items() if value is not None}
        try:
            answer: dict[str, Any] = method(**given)
        except exceptions.ClientError as error:
            detail = error.response.get("Error", {})
            raise CloudRefusedError(
                operation, detail.get("Code", "Unknown"), detail.get("Message", str(error))
            ) from error
        except exceptions.ParamValidationError as error:
            raise CloudRefusedError(operation, "ParameterValidation", " ".join(str(error).split())) from error
        except (exceptions.HTTPClientError, exceptions.ConnectionError) as error:
            raise CloudUnreachableError(self.config.endpoint) from error
        return answer

    def find(self, operation: str, missing: Iterable[str], **parameters: Any) -> dict[str, Any] | None:
        """Like `call`, but None when EC2 refuses with one of the `missing` codes."""
        try:
            return self.call(operation, **parameters)
        except CloudRefusedError as error:
            if error.code in missing:
                return None
            raise

    def wait(
        self,
        subject: str,
        wanted: str,
        look: Callable[[], str],
        seconds: float,
        failed: Mapping[str, str] | None = None,
    ) -> None:
        """Poll `look` until it returns `wanted`. A state in `failed` ends the wait at once, with that reason.

        Raises WaitTimeoutError, CloudRefusedError or CancelledError.
        """
        deadline = time.monotonic() + seconds
        while (found := look()) != wanted:
            if failed and found in failed:
                raise CloudRefusedError("DescribeInstances", found, failed[found])
            if time.monotonic() >= deadline:
                raise WaitTimeoutError(subject, wanted, found, seconds)
            self._pause(subject)

    def delete(self, operation: str, missing: Iterable[str], seconds: float, **parameters: Any) -> None:
        """Delete something; idempotent. Retry for `seconds` while it is in use."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                self.find(operation, missing, **parameters)
            except CloudRefusedError as error:
                if error.code not in _IN_USE or time.monotonic() >= deadline:
                    raise
                self._pause(f"{operation} ({error.code})")
            else:
                return

    def _pause(self, subject: str) -> None:
        if self._cancelled.wait(_POLL_SECONDS):
            raise CancelledError(subject)

    def _ec2(self) -> Any:
        with self._lock:
            if self._client is None:
                self._client = _new_client(self.config)
            return self._client


def _new_client(config: ProviderConfig) -> Any:
    import boto3
    from botocore.config import Config

    session = boto3.session.Session(
        aws_access_key_id=config.access_key,
        aws_secret_access_key=config.secret_key,
        region_name=config.region,
    )
    return session.client(
        "ec2",
        endpoint_url=config.endpoint,
        config=Config(
            connect_timeout=_CONNECT_SECONDS,
            read_timeout=_ANSWER_SECONDS,
            retries={"total_max_attempts": 1},
            proxies={},
            max_pool_connections=16,
            user_agent_extra="onebox-rehearsal",
        ),
    )
