"""Row F27: a service's secret is replaced."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import IO, TYPE_CHECKING

import pytest

from provisioning.config.secrets import ServiceSecrets
from tests.e2e.faults.figures import figure
from tests.waiting import wait_until

if TYPE_CHECKING:
    from tests.e2e.faults.real_host import RealHost
    from tests.e2e.faults.small import Small

pytestmark = pytest.mark.e2e

PORT = 7400
SERVER = r"""use IO::Socket::INET;
open(my $file, '<', '/run/secrets/api_token') or die "no secret: $!"; my $token = <$file>; chomp $token;
my $server = IO::Socket::INET->new(LocalPort => 7400, Listen => 16, ReuseAddr => 1) or die $!;
open(my $ready, '>', '/tmp/ready');
while (my $client = $server->accept) {
  my $given = '';
  while (defined(my $line = <$client>)) { $given = $1 if $line =~ /^X-Token: (\S*)/; last if $line =~ /^\r?\n$/ }
  print $client $given eq $token ? "HTTP/1.0 200 OK\r\n\r\n" : "HTTP/1.0 401 Unauthorized\r\n\r\n";
  close $client;
}
"""
# Both are asked in one go, old and new, some twenty times a second: a line of two status codes each time.
ASK = """
echo $$
while :; do
  for token in OLD NEW; do
    printf '%s ' "$(curl -s -o /dev/null -m 2 -w '%{http_code}' -H "X-Token: $token" http://127.0.0.1:7400/)"
  done
  echo
  sleep 0.03
done
"""


def test_f27_a_replaced_secret_refuses_the_old_value_takes_the_new_one_and_touches_only_its_reader(
    small_project: Callable[[str], Small], host: RealHost
) -> None:
    small = small_project("rotation")
    compose = small.project / "docker-compose.yml"
    text = compose.read_text().replace(
        "  first:\n    <<: *service\n",
        f'  first:\n    <<: *service\n    network_mode: bridge\n    ports: ["127.0.0.1:{PORT}:{PORT}"]\n'
        "    secrets: [api_token]\n",
    )
    compose.write_text(text + "secrets:\n  api_token:\n    file: ${ONEBOX_SECRET_API_TOKEN:-/dev/null}\n")
    small.write("first/server.pl", SERVER)
    small.write("first/run.sh", "exec perl /srv/server.pl\n")
    old, new, key = (secrets.token_urlsafe(24) for _ in range(3))

    small.push(secrets=ServiceSecrets({"api_token": old}, key))
    ids = small.ids()
    asked = host.start("sh", "-c", ASK.replace("OLD", old).replace("NEW", new))
    assert asked.stdout
    pid = asked.stdout.readline().strip()
    answers: list[tuple[str, ...]] = []
    try:
        wait_until(lambda: read(asked.stdout, answers)[-1] == ("200", "401"), 10, "the old value is taken")
        result = small.push(secrets=ServiceSecrets({"api_token": new}, key))
        wait_until(lambda: read(asked.stdout, answers)[-1] == ("401", "200"), 60, "the new value is taken")
    finally:
        host.inside("kill", pid)
        asked.communicate(timeout=10)

    assert result.container_actions == ("tag+recreate first",)
    assert {name for name, found in small.ids().items() if found != ids[name]} == {"first"}
    assert set(answers) & {("200", "200"), ("401", "401")} == set()
    silent = sum("000" in pair for pair in answers)
    figure(
        "F27.2",
        f"secret replaced: old value refused and new one taken, never both and never neither in {len(answers)} looks "
        f"({silent} without an answer while its reader was recreated); the other service untouched",
    )


def read(stream: IO[str] | None, answers: list[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """One more line of the two status codes."""
    assert stream
    answers.append(tuple(stream.readline().split()))
    return answers
