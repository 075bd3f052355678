"""A user's own table, the whole way on the real stack: trained, pushed, predicted, seen, watched, taken back."""

from __future__ import annotations

import csv
import json
import re
import shutil
import time
from typing import TYPE_CHECKING, Any

import pytest
import requests
from playwright.sync_api import expect, sync_playwright
from sklearn.datasets import load_wine

from tests.e2e.conftest import STACK
from tests.e2e.test_first_light import CHROMIUM_FLAGS
from tests.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.e2e.conftest import Checkout

pytestmark = pytest.mark.e2e

WINE = load_wine()
CLASSES = [str(name) for name in WINE.target_names]
ROWS = len(WINE.data[::3])
"""Every third is asked for: enough for a verdict on drift."""


def onebox(checkout: Checkout, *argv: str) -> str:
    return checkout.do("onebox", *argv, "--stack", STACK)


def asked(checkout: Checkout, path: str, **more: Any) -> Any:
    answer = requests.get(f"{checkout.outputs()['api_url']}{path}", timeout=10, **more)
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.fixture
def artifacts(rehearsal: Checkout, tmp_path: Path) -> Iterator[Path]:
    """Where training writes; as it was before, afterwards."""
    place = rehearsal.root / "app" / "artifacts"
    shutil.copytree(place, tmp_path / "kept")
    yield place
    shutil.rmtree(place)
    shutil.copytree(tmp_path / "kept", place)


def write_table(path: Path) -> None:
    with path.open("w", newline="") as file:
        out = csv.writer(file)
        out.writerow([*WINE.feature_names, "cultivar"])
        out.writerows([*row, CLASSES[label]] for row, label in zip(WINE.data, WINE.target, strict=True))


def see_in_browser(url: str) -> str:
    """The class that the UI shows after a click, having shown the features of this table."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=CHROMIUM_FLAGS)
        page = browser.new_page(viewport={"width": 1280, "height": 1400})
        page.goto(url)
        for name in (WINE.feature_names[0], WINE.feature_names[-1]):
            expect(page.get_by_text(name).first).to_be_visible(timeout=30_000)
        page.get_by_role("button", name="Get Prediction").click()
        shown = page.get_by_text(re.compile("^class_[012]$")).first
        expect(shown).to_be_visible(timeout=30_000)
        assert page.get_by_text(re.compile("setosa|versicolor|virginica")).count() == 0
        said = shown.inner_text()
        browser.close()
    return said


def test_a_table_of_thirteen_features_goes_the_whole_way_and_back(
    rehearsal: Checkout, artifacts: Path, tmp_path: Path
) -> None:
    began = time.monotonic()
    containers = rehearsal.containers()
    before = json.loads(onebox(rehearsal, "status", "--json"))["release"]
    table = tmp_path / "wine.csv"
    write_table(table)
    rehearsal.do("python", "app/train_model.py", "--data", str(table), "--label", "cultivar")
    assert json.loads((artifacts / "manifest.json").read_text())["classes"] == CLASSES
    onebox(rehearsal, "push")
    pushed = time.monotonic() - began

    try:
        config = asked(rehearsal, "/config")
        assert [item["name"] for item in config["features"]] == list(WINE.feature_names)
        assert config["classes"] == CLASSES
        url = f"{rehearsal.outputs()['api_url']}/predict"
        right = 0
        for row, label in zip(WINE.data[::3], WINE.target[::3], strict=True):
            answer = requests.post(url, json={"features": row.tolist()}, timeout=10)
            assert answer.status_code == 200, answer.text
            right += answer.json()["class"] == CLASSES[label]
        assert right >= 0.9 * ROWS

        # The recorder and the window follow within moments.
        wait_until(lambda: asked(rehearsal, "/drift")["rows"] >= ROWS)
        drift = asked(rehearsal, "/drift")
        assert [item["name"] for item in drift["features"]] == list(WINE.feature_names)
        seen = see_in_browser(rehearsal.outputs()["ui_url"])
        assert seen in CLASSES
    finally:
        onebox(rehearsal, "rollback", before[:12], "--yes")

    assert rehearsal.predict()["class"] == "setosa"
    # Models came and went while everything kept running.
    assert rehearsal.containers() == containers
    print(
        f"wine: trained and pushed in {pushed:.0f} s, {right} of {ROWS} rows right, {seen} in the browser, drift "
        f"over {drift['rows']} rows; back to Iris after {time.monotonic() - began:.0f} s in all"
    )
