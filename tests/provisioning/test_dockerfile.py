"""Which files of a build context can change the image."""

from __future__ import annotations

import pytest

from provisioning.release.dockerfile import UNKNOWN, WHOLE, matters, sources_of


@pytest.mark.parametrize(
    ("text", "sources"),
    [
        ("FROM debian\nRUN apt-get update\n", ()),
        ("COPY . /srv/\n", (WHOLE,)),
        ("COPY ./ /srv/\n", (WHOLE,)),
        ("copy a.txt ./b/c.txt /tmp/\n", ("a.txt", "b/c.txt")),
        ("COPY --chmod=0555 --chown=1:1 launcher /srv/\n", ("launcher",)),
        ('COPY ["a file", "/tmp/"]\n', ("a file",)),
        ('COPY --chmod=0555 ["a", "b", "/tmp/"]\n', ("a", "b")),
        ("COPY a \\\n  b \\\n  /tmp/\n", ("a", "b")),
        ("# COPY a /tmp/\n", ()),
        ("COPY --from=build /out /srv/\n", ()),
        ("COPY <<EOF /tmp/x\nhello\nEOF\n", ()),
        ("ADD $WHAT /tmp/\n", (UNKNOWN,)),
        ("COPY 'a /tmp/\n", (UNKNOWN,)),
        ("ONBUILD COPY a /tmp/\n", ("a",)),
        ("RUN --mount=type=bind,source=a,target=/a make\n", (WHOLE,)),
        ("RUN --mount=target=/a make\n", (WHOLE,)),
        ("RUN --mount=type=secret,id=x make\n", ()),
        ("RUN --mount=type=bind,from=build,target=/a make\n", ()),
    ],
)
def test_what_a_dockerfile_takes_from_its_context(text: str, sources: tuple[str, ...]) -> None:
    assert sources_of(text) == sources


@pytest.mark.parametrize(
    ("path", "sources", "mounted", "can"),
    [
        ("server.py", [WHOLE], [], True),
        ("server.py", [WHOLE], ["."], False),
        ("requirements.txt", [WHOLE, "requirements.txt"], ["."], True),
        ("requirements.txt", ["*.txt"], ["."], True),
        ("deep/requirements.txt", ["*.txt"], ["."], False),
        ("launcher/main.py", ["launcher"], ["."], True),
        ("launchers/main.py", ["launcher"], ["."], False),
        ("server.py", [UNKNOWN], ["."], True),
        ("app/artifacts/m.onnx", ["app"], ["app/artifacts"], False),
        ("app/artifacts/m.onnx", ["app/artifacts"], ["app/artifacts"], False),
        ("app/artifacts/m.onnx", ["app/artifacts/m.onnx"], ["app/artifacts"], True),
        ("artifacts/m.onnx", [WHOLE, "artifacts"], [".", "artifacts"], False),
        ("artifacts/m.onnx", ["artifacts/m.onnx"], [".", "artifacts"], True),
    ],
)
def test_a_mounted_file_matters_only_where_the_dockerfile_reaches_into_the_mount(
    path: str, sources: list[str], mounted: list[str], can: bool
) -> None:
    assert matters(path, sources, mounted) is can
