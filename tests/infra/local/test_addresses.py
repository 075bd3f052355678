"""Elastic addresses."""

from __future__ import annotations

import ipaddress

from infra.local.network.addresses import next_free

POOL = ipaddress.IPv4Network("10.0.0.128/30")


def test_the_lowest_free_address_is_handed_out() -> None:
    assert next_free(POOL, []) == "10.0.0.128"
    assert next_free(POOL, ["10.0.0.128"]) == "10.0.0.129"


def test_the_broadcast_address_is_never_handed_out() -> None:
    assert next_free(POOL, ["10.0.0.128", "10.0.0.129", "10.0.0.130"]) is None


def test_a_wish_is_granted_when_free_and_of_the_pool() -> None:
    assert next_free(POOL, [], wish="10.0.0.130") == "10.0.0.130"
    assert next_free(POOL, ["10.0.0.130"], wish="10.0.0.130") is None
    assert next_free(POOL, [], wish="10.0.0.1") is None
