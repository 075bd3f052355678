from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING

import pytest

from app.errors import InvalidRequestError
from app.traffic.assignment import position, user_of
from app.traffic.routing import STICKY, Split

if TYPE_CHECKING:
    from collections.abc import Iterable

SALT = bytes(range(16))
BOTH = frozenset({"v1", "v2"})
Z = 3.2905
"""Two-sided 99.9 % of a normal distribution."""


def arms(users: Iterable[str], weights: tuple[int, int], salt: bytes = SALT) -> dict[str, str]:
    split = Split("v1", "v2", *weights, up=BOTH)
    found = {}
    for user in users:
        choice = split.choose(position(user, salt), STICKY)
        assert choice is not None
        assert choice.reason == STICKY
        found[user] = choice.version
    return found


@pytest.mark.parametrize(
    ("name", "users"),
    [
        ("user-1..200", [f"user-{number}" for number in range(1, 201)]),
        ("1..10000", [str(number) for number in range(1, 10_001)]),
    ],
)
@pytest.mark.parametrize("percent", [10, 50])
def test_sequential_users_are_split_within_binomial_bounds(name: str, users: list[str], percent: int) -> None:
    outside = 0
    for number in range(50):
        salt = number.to_bytes(16, "big")
        hits = sum(arm == "v2" for arm in arms(users, (100 - percent, percent), salt).values())
        expected = len(users) * percent / 100
        bound = Z * math.sqrt(expected * (1 - percent / 100)) + 0.5
        outside += abs(hits - expected) > bound
        if number == 0:
            print(
                f"{name}: {hits} of {len(users)} in v2, {expected:.0f} expected, 99.9 % within ±{bound:.0f}"
            )
    # Fifty draws at one in a thousand: two outside have a chance of one in a thousand.
    assert outside <= 1


def test_a_larger_share_moves_users_into_v2_only() -> None:
    users = [f"user-{number}" for number in range(5000)]
    steps = [arms(users, (100 - percent, percent)) for percent in (0, 1, 10, 20, 50, 100)]
    for before, after in itertools.pairwise(steps):
        assert all(after[user] == "v2" for user in users if before[user] == "v2")
    assert set(steps[0].values()) == {"v1"}
    assert set(steps[-1].values()) == {"v2"}


def test_another_salt_is_another_tenth_of_the_users() -> None:
    users = [f"user-{number}" for number in range(5000)]
    one, two = (arms(users, (90, 10), salt) for salt in (b"a" * 16, b"b" * 16))
    both = sum(one[user] == two[user] == "v2" for user in users)
    # A tenth of a tenth, not all of it.
    assert both < 90


def test_the_place_of_a_user_is_known_for_good() -> None:
    assert position("user-1", SALT) == position("user-1", SALT)
    assert position("user-1", SALT) == pytest.approx(0.3547553, abs=1e-7)
    assert 0 <= position("\udc80", SALT) < 1


@pytest.mark.parametrize(
    ("header", "cookies", "user"),
    [
        (None, None, None),
        ("anna", None, "anna"),
        ("anna", "onebox_user=bert", "anna"),
        (None, "onebox_user=bert", "bert"),
        (None, 'a=1; onebox_user="bert"; b=2', "bert"),
        (None, "not_onebox_user=bert", None),
        (None, "onebox_user=", None),
        (None, "onebox_user=" + "x" * 129, None),
        (None, "b=onebox_user=bert", None),
    ],
)
def test_the_user_is_the_headers_or_else_the_cookies(
    header: str | None, cookies: str | None, user: str | None
) -> None:
    assert user_of(header, cookies) == user


@pytest.mark.parametrize("header", ["", "x" * 129, "a\x00b", "a\x85b"])
def test_a_name_that_cannot_be_one_is_refused(header: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        user_of(header, None)
    assert (caught.value.status, caught.value.field) == (422, "X-User-Id")
