"""A LitServe server of two workers. PORT"""

import sys
from typing import Any

import litserve
from forests import Forests


class Iris(litserve.LitAPI):
    """The two forests."""

    def setup(self, device: str) -> None:  # noqa: ARG002 - LitServe's signature
        self._forests = Forests()

    # LitServe makes the request's schema from this annotation; without one it takes any JSON.
    def decode_request(self, request):  # type: ignore[no-untyped-def]
        features: list[float] = request["features"]
        return features

    def predict(self, features: list[float]) -> dict[str, Any]:
        return self._forests.predict(features)

    def encode_response(self, answer: dict[str, Any]) -> dict[str, Any]:
        return answer


if __name__ == "__main__":
    server = litserve.LitServer(Iris(), accelerator="cpu", workers_per_device=2)
    server.run(
        host="127.0.0.1",
        port=int(sys.argv[1]),
        num_api_servers=1,
        log_level="error",
        generate_client_file=False,
    )
