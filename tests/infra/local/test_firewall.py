"""Security groups as packet filters."""

from __future__ import annotations

import pytest

from infra.local.network.firewall import CHAIN, Permission, filter_v4, filter_v6


def accepts(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.endswith("-j ACCEPT") and "conntrack" not in line]


@pytest.mark.parametrize(
    ("permission", "match"),
    [
        (Permission("tcp", 22, 22, "10.0.0.0/8"), "-s 10.0.0.0/8 -p tcp --dport 22"),
        (Permission("tcp", 22, 22, "0.0.0.0/0"), "-p tcp --dport 22"),
        (Permission("udp", 8000, 8100, "10.1.2.3/32"), "-s 10.1.2.3/32 -p udp --dport 8000:8100"),
        (Permission("tcp", 0, 65535, "0.0.0.0/0"), "-p tcp"),
        (Permission("icmp", -1, -1, "0.0.0.0/0"), "-p icmp"),
        (Permission("icmp", 8, -1, "0.0.0.0/0"), "-p icmp --icmp-type 8"),
        (Permission("icmp", 3, 4, "0.0.0.0/0"), "-p icmp --icmp-type 3/4"),
        (Permission("47", -1, -1, "10.0.0.0/8"), "-s 10.0.0.0/8 -p 47"),
        (Permission("-1", -1, -1, "10.0.0.0/8"), "-s 10.0.0.0/8"),
    ],
)
def test_a_permission_becomes_one_rule(permission: Permission, match: str) -> None:
    assert accepts(filter_v4([permission])) == [f"-A {CHAIN} {match} -j ACCEPT"]


def test_all_protocols_from_everywhere_is_a_rule_without_conditions() -> None:
    assert accepts(filter_v4([Permission("-1", -1, -1, "0.0.0.0/0")])) == [f"-A {CHAIN} -j ACCEPT"]


def test_without_permissions_only_known_connections_pass() -> None:
    assert filter_v4([]).splitlines() == [
        "*mangle",
        f":{CHAIN} - [0:0]",
        "-F PREROUTING",
        f"-A PREROUTING -i eth0 -j {CHAIN}",
        f"-A {CHAIN} -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT",
        f"-A {CHAIN} -j DROP",
        "COMMIT",
    ]


def test_the_same_permissions_in_another_order_are_the_same_filter() -> None:
    one, other = Permission("tcp", 22, 22, "10.0.0.0/8"), Permission("tcp", 80, 80, "10.0.0.0/8")
    assert filter_v4([one, other, one]) == filter_v4([other, one])


def test_the_drop_is_the_last_rule() -> None:
    text = filter_v4([Permission("tcp", 22, 22, "0.0.0.0/0")])
    assert text.splitlines()[-2:] == [f"-A {CHAIN} -j DROP", "COMMIT"]


def test_nothing_passes_over_ipv6() -> None:
    assert "ACCEPT" not in filter_v6()
    assert f"-A {CHAIN} -j DROP" in filter_v6()
