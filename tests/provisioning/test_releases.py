"""Pure: the kept releases, what each changed, and which one somebody means."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from provisioning.agent.observe.messages import Releases, Served, StoredRelease
from provisioning.errors import SettingsError
from provisioning.host.history import Differences, age, choose, difference, kept_in
from provisioning.release.manifest import DataDirectory, Release, ReleaseFile, ServiceRecord

A, B, C, GONE = "a" * 64, "b1" + "b" * 62, "b2" + "c" * 62, "d" * 64


def _release(release: str, **more: Any) -> Release:
    values = {
        "files": (
            ReleaseFile("app/server.py", 0o644, release, 1),
            ReleaseFile("release.env", 0o600, release, 1),
        ),
        "services": {"api": ServiceRecord(release, "x", f"onebox/api:{release}", (), "ONEBOX_API_DIGEST")},
        "data": {"ONEBOX_MODELS_DIR": DataDirectory("app/artifacts", "same", ())},
    }
    return Release(release, **{**values, **more})


def _line(release: str, at: str, what: str = "push", who: str = "ann@laptop") -> Served:
    return Served(f"2026-11-23T{at}:00+00:00", who, what, release)


def _answer(**more: Any) -> Releases:
    written = "2026-11-23T09:00:00+00:00"
    found = Releases(
        now=1795431600.0,  # 2026-11-23T11:00 by the host's clock
        current=C,
        previous=B,
        kept={name: StoredRelease(_release(name).to_json(), written) for name in (A, B, C)},
        served=(_line(A, "08:00"), _line(B, "09:00"), _line(C, "10:00", who="bob@desk")),
        past=(GONE,),
        images=tuple(f"onebox/api:{name}" for name in (A, B, C)),
    )
    return replace(found, **more)


def test_releases_are_listed_from_the_current_one_back() -> None:
    kept = kept_in(_answer())

    assert [item.release for item in kept.releases] == [C, B, A]
    first = kept.releases[0]
    assert (first.current, first.who, first.before) == (True, "bob@desk", B)
    assert first.age_seconds == 3600
    assert [item.previous for item in kept.releases] == [False, True, False]


def test_a_clock_that_was_set_back_does_not_change_the_order() -> None:
    served = [_line(A, "08:00"), _line(B, "10:00"), _line(C, "09:00")]
    kept = kept_in(_answer(current=A, served=[*served, _line(A, "07:00", "rollback")]))

    assert [item.release for item in kept.releases] == [A, C, B]


def test_after_a_rollback_the_older_release_is_the_current_one_again() -> None:
    served = [*_answer().served, _line(A, "10:30", "rollback")]
    kept = kept_in(_answer(current=A, previous=C, served=served))

    first = kept.releases[0]
    assert (first.release, first.what, first.before, first.age_seconds) == (A, "rollback", C, 1800)
    assert choose(kept, None).release == C


def test_a_repair_of_the_current_release_does_not_make_it_younger() -> None:
    kept = kept_in(_answer(served=[*_answer().served, _line(C, "10:45")]))

    assert kept.releases[0].age_seconds == 3600


def test_a_release_that_no_log_knows_is_as_old_as_its_files() -> None:
    kept = kept_in(_answer(served=[]))

    assert {item.at for item in kept.releases} == {"2026-11-23T09:00:00+00:00"}
    assert {(item.who, item.differences) for item in kept.releases} == {("", None)}


def test_an_image_that_is_gone_is_named() -> None:
    kept = kept_in(_answer(images=[f"onebox/api:{A}", f"onebox/api:{C}"]))

    assert {item.release: item.images_missing for item in kept.releases} == {
        A: (),
        B: (f"onebox/api:{B}",),
        C: (),
    }


def test_the_difference_names_services_files_data_values_and_the_split() -> None:
    old = _release(A, environment={"MODEL_V1_WEIGHT": "90", "LEVEL": "1"})
    new = _release(
        B,
        environment={"MODEL_V2_WEIGHT": "10", "LEVEL": "secret"},
        data={"ONEBOX_MODELS_DIR": DataDirectory("app/artifacts", "other", ())},
        files=(*_release(B).files, ReleaseFile("app/new.py", 0o644, "n", 1)),
    )

    found = difference(old, new)

    assert found == Differences(
        ("api",), 2, ("app/artifacts",), ("LEVEL", "MODEL_V1_WEIGHT", "MODEL_V2_WEIGHT"), "90/50 -> 50/10"
    )
    assert str(found) == "api; 2 files; app/artifacts; values of LEVEL; split 90/50 -> 50/10"
    assert str(difference(old, old)) == "nothing"


def test_a_service_that_is_new_or_left_out_is_a_difference() -> None:
    alone = _release(A)
    both = replace(alone, services={**alone.services, "ui": ServiceRecord("u", None, "ui", (), "U")})

    assert difference(alone, both).services == ("ui",)
    assert difference(both, alone).services == ("ui",)


@pytest.mark.parametrize(("wanted", "release"), [(None, B), (A, A), ("aaaa", A), ("b1bb", B)])
def test_a_release_is_meant_by_the_beginning_of_its_digest(wanted: str | None, release: str) -> None:
    assert choose(kept_in(_answer()), wanted).release == release


@pytest.mark.parametrize(
    ("wanted", "sentence"),
    [
        ("ffff", "there is no release ffff on the host"),
        (C[:12], f"the release {C[:12]} is the current one"),
        (GONE, f"the release {GONE[:12]} was pruned on the host"),
        ("aaa", "'aaa' is not a prefix of a release's digest"),
        ("latest", "'latest' is not a prefix of a release's digest"),
        ("-oProxyCommand=x", "is not a prefix of a release's digest"),
        ("../../etc", "is not a prefix of a release's digest"),
        ("", "'' is not a prefix of a release's digest"),
    ],
)
def test_a_release_that_cannot_serve_is_refused_by_name_and_the_others_are_listed(
    wanted: str, sentence: str
) -> None:
    with pytest.raises(SettingsError, match=sentence) as caught:
        choose(kept_in(_answer()), wanted)

    assert caught.value.exit_code == 2
    assert f"Retained besides the current release: {B[:12]}, {A[:12]}." in caught.value.hint


def test_a_beginning_that_two_releases_share_is_refused() -> None:
    twins = [f"{'e' * 5}{number}" + "0" * 58 for number in (1, 2)]
    more = {name: StoredRelease(_release(name).to_json(), "2026-11-23T07:00:00+00:00") for name in twins}
    answer = _answer(kept=_answer().kept | more)

    with pytest.raises(SettingsError, match="more than one release begins with eeeee"):
        choose(kept_in(answer), "eeeee")


@pytest.mark.parametrize("wanted", [None, B[:6]])
def test_an_unreadable_release_is_refused_with_its_reason(wanted: str | None) -> None:
    stored = {**_answer().kept, B: StoredRelease({"schema": 2}, "2026-11-23T09:00:00+00:00")}
    kept = kept_in(_answer(kept=stored))

    assert [item.release for item in kept.releases] == [C, A]
    assert json.loads(json.dumps(kept.as_json()))["unreadable"][0]["previous"] is True
    with pytest.raises(
        SettingsError, match=f"{B[:12]} on the host cannot be read: it has schema 2"
    ) as caught:
        choose(kept, wanted)
    assert "newer" in caught.value.hint


def test_without_a_previous_release_there_is_nothing_to_go_back_to() -> None:
    with pytest.raises(SettingsError, match="no previous release"):
        choose(kept_in(_answer(previous=None)), None)


def test_a_previous_release_that_was_pruned_is_none() -> None:
    with pytest.raises(SettingsError, match="no previous release"):
        choose(kept_in(_answer(previous=GONE)), None)


def test_an_age_is_never_below_zero_and_a_time_that_makes_no_sense_is_no_age() -> None:
    assert age("2026-11-23T12:00:00+00:00", 1795431600.0) == 0
    assert age("soon", 1795431600.0) == 0
