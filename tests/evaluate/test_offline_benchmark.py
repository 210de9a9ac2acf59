"""As a user on a fresh machine: mini hears debian-speech, and the report is looked at in a browser."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from auricle.evaluate.datasets.debian_speech import SOURCES

pytestmark = [pytest.mark.slow, pytest.mark.mini]


def auricle(home: Path, *arguments: object) -> str:
    """What the command prints."""
    command = [sys.executable, "-m", "auricle.cli.main", *map(str, arguments)]
    environment = os.environ | {"AURICLE_DATA": str(home), "XDG_CACHE_HOME": str(home / "cache")}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def report(debian_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of one sample of every source."""
    out = tmp_path_factory.mktemp("run") / "out"
    said = auricle(debian_home, "eval", "run", "debian-speech", "--model", "mini", "--limit", 1, "--out", out)
    assert said.startswith(f"{len(SOURCES)} samples answered, 0 failed, ")
    auricle(debian_home, "eval", "report", out)
    return out / "report.html"


def test_every_source_has_its_figures(report: Path) -> None:
    found = json.loads((report.parent / "scores.json").read_text())["rows"]
    for mode in ("official", "strict"):
        assert {row["row"] for row in found if row["mode"] == mode} == set(SOURCES)
    names = {row["row"]: row["figures"][0]["name"] for row in found}
    assert (names["asterisk_en"], names["asterisk_fr_en_translation"]) == ("wer", "bleu")
    assert names["tuxpaint_sounds"] == "accuracy"
    assert "| asterisk_en " in (report.parent / "report.md").read_text().replace("\\", "")


def test_a_browser_shows_it(report: Path) -> None:
    from playwright.sync_api import sync_playwright

    executable = shutil.which("chromium")
    if executable is None:
        pytest.fail("the report's test needs a browser: apt-get install chromium (`make slow` does)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=["--no-sandbox"])
        page = browser.new_page()
        said: list[str] = []
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.goto(report.as_uri())
        rows = page.locator("#figures [data-in-mode=official] td.ours:visible")
        assert rows.count() == len(SOURCES)
        assert all(text.strip() for text in rows.all_inner_texts())
        marks = page.locator("#figures [data-in-mode=official] svg.strip .value")
        assert marks.count() >= len(SOURCES) - 1
        assert all(marks.nth(place).bounding_box()["width"] > 0 for place in range(marks.count()))
        page.locator(".card:visible button[aria-label^=Play]").first.click()
        page.wait_for_function("() => [...document.querySelectorAll('audio')].some(a => a.currentTime > 0.1)")
        assert said == []
        browser.close()
