"""The page in real Chromium: tables, charts, players, filters, both colour schemes, a narrow window."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import made_scores
import pytest

pytestmark = pytest.mark.slow

SIZES = """selector => [...document.querySelectorAll(selector)]
    .map(e => e.getBoundingClientRect()).filter(r => r.width > 0 && r.height > 0).length"""
SHOWN = """() => [...document.querySelectorAll('.card')].filter(card => card.offsetParent)
    .map(card => card.querySelector('.id').innerText)"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    executable = shutil.which("chromium")
    if executable is None:
        pytest.fail("the report's test needs a browser: apt-get install chromium (`make slow` does)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Any, report: tuple[Path, Path, Path]) -> Iterator[Any]:
    """The page, opened; no error, no message and no request but for itself until the test ends."""
    page = browser.new_context(viewport={"width": 1440, "height": 900}).new_page()
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: said.append(request.url))
    page.goto(report[0].as_uri())
    yield page
    assert [line for line in said if not line.startswith("data:audio/mpeg")] == [report[0].as_uri()]
    page.context.close()


def _cells(page: Any, mode: str, row: str) -> list[str]:
    return page.eval_on_selector(
        f"#figures [data-in-mode={mode}] tr:has(> [data-value={row}])",
        "row => [...row.cells].map(cell => cell.innerText)",
    )


def test_the_tables_are_filled_and_the_mode_switch_works(page: Any):
    cells = _cells(page, "official", "librispeech_dev_clean")
    assert [cells[1], cells[3].split("\n")[0], cells[5].split("\n")[:2]] == ["2,694", "1.68", ["1.7", "≈"]]
    assert page.locator("#figures td.ours:visible strong").all_inner_texts() == [
        "1.68",
        "50.00",
        "25.00",
        "45.00",
        "0.5500",
        "6.50",
    ]
    page.get_by_text("strict", exact=True).first.click()
    assert page.locator("#figures td.ours:visible strong").all_inner_texts() == [
        "11.68",
        "60.00",
        "25.00",
        "45.00",
        "0.5500",
        "6.50",
    ]
    assert page.locator(".card:visible").count() == 8


def test_charts_are_drawn(page: Any):
    shown = "#figures [data-in-mode=official] "
    assert page.evaluate(SIZES, shown + "svg.strip .interval") == 6
    assert page.evaluate(SIZES, shown + "svg.strip .value") == 6
    assert page.evaluate(SIZES, shown + ".figures .mark path") == 4  # official: LibriSpeech, CoVoST2, MELD, AIR-Bench
    assert page.evaluate(SIZES, shown + ".figures .mark.transformers circle") == 3
    assert page.evaluate(SIZES, shown + ".figures .mark.vllm rect") == 3
    assert page.evaluate(SIZES, "#compared [data-in-mode=official] .interval") == 3
    inside = page.evaluate(
        """() => [...document.querySelectorAll('[data-in-mode=official] tr:has(.strip)')].every(row => {
            const bar = row.querySelector('.interval').getBBox(), at = row.querySelector('.value').getBBox();
            const middle = at.x + at.width / 2;
            return bar.x <= middle && middle <= bar.x + bar.width; })"""
    )
    assert inside


def test_a_player_plays(page: Any):
    card = page.locator(".card:visible", has_text="small").first
    card.get_by_role("button", name="Play small").click()
    audio = card.locator("audio")
    page.wait_for_function(
        "() => [...document.querySelectorAll('audio')].some(a => a.currentTime > 0.3)", timeout=10_000
    )
    found = audio.evaluate("a => [a.duration, a.muted, a.error === null, a.paused, a.volume, a.currentTime]")
    assert found[0] == pytest.approx(2.5, abs=0.1)
    assert found[1:5] == [False, True, False, 1]
    assert card.locator(".wave").evaluate("w => parseFloat(w.style.getPropertyValue('--played'))") > 5
    other = page.locator(".card:visible", has_text="nasty").first
    other.get_by_role("button", name="Play nasty").click()
    page.wait_for_function("() => [...document.querySelectorAll('audio')].filter(a => a.src && !a.paused).length === 1")
    assert audio.evaluate("a => a.paused")
    card.locator("input[type=range]").fill("1.5")
    assert audio.evaluate("a => a.currentTime") == pytest.approx(1.5, abs=0.05)


def test_filters_filter_and_orders_order(page: Any):
    def ids() -> list[str]:
        return [line.rpartition("/ ")[2] for line in page.evaluate(SHOWN)]

    assert ids() == ["runs", "nasty", "empty", "gone", "m1", "arabic", "w1", "small"]
    page.select_option("select[name=flag]", "cut off")
    assert ids() == ["runs"]
    page.click("button[type=reset]")
    page.wait_for_function(f"() => ({SHOWN})().length === 8")
    page.fill("input[name=above]", "100")
    assert ids() == ["runs", "nasty"]
    page.fill("input[name=above]", "")
    page.fill("input[name=search]", "QUOTED")
    assert ids() == ["nasty"]
    assert page.locator(".found").inner_text() == "1 of 8 listed answers"
    page.fill("input[name=search]", "nobody said this")
    assert ids() == []
    assert page.get_by_text("No answer is like that.").is_visible()
    page.fill("input[name=search]", "")
    page.select_option("select[name=row]", "librispeech_dev_clean")
    page.select_option("select[name=order]", "duration")
    assert ids()[0] == "runs"
    assert ids()[-1] == "gone"
    page.locator("#official-meld summary").click()
    page.locator("#official-meld [data-show-row]").click()
    page.wait_for_function(f"() => ({SHOWN})().length === 1")
    assert ids() == ["m1"]


def test_tables_sort(page: Any):
    names = "#figures [data-in-mode=official] table:has(tbody tr:nth-child(2)) tbody th"
    heading = page.locator("#figures table:visible", has_text="own_words").locator("button", has_text="Samples")
    assert page.locator(names).all_inner_texts() == ["own_words12", "own_numbers"]
    heading.click()
    assert page.locator(names).all_inner_texts() == ["own_numbers", "own_words12"]
    heading.click()
    assert page.locator(names).all_inner_texts() == ["own_words12", "own_numbers"]
    assert page.locator("th[aria-sort=ascending]").count() == 1


def test_keys_reach_the_answers(page: Any):
    page.keyboard.press("j")
    page.keyboard.press("j")
    assert "nasty" in page.locator(".card.current").inner_text()
    page.keyboard.press("p")
    page.wait_for_function(
        "() => { const a = document.querySelector('.card.current audio'); return a.currentTime > 0; }"
    )
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.name") == "search"


def test_a_link_unfolds_its_row(page: Any):
    page.locator("#figures a[href='#official-meld']").click()
    assert page.locator("#official-meld .confusions").is_visible()
    assert page.evaluate(SIZES, "#official-meld .confusions td[style]") == 6


def test_an_answer_stays_text(page: Any):
    card = page.locator(".card:visible", has_text="nasty").first
    card.get_by_text("As written").click()
    assert card.locator(".said").inner_text() == made_scores.NASTY
    assert page.locator("img").count() == 0


def test_a_script_in_an_answer_could_not_run_if_it_got_in(browser: Any, report: tuple[Path, Path, Path]):
    page, refused = browser.new_page(), list[str]()
    page.on("console", lambda message: refused.append(message.text))
    page.goto(report[0].as_uri())
    page.evaluate("document.body.insertAdjacentHTML('beforeend', '<img src=data: onerror=\"window.ran = 1\">')")
    page.wait_for_timeout(300)
    assert page.evaluate("window.ran === undefined")
    assert any("Content Security Policy" in line for line in refused)
    page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_in_both_schemes(page: Any, scheme: str):
    """Contrast by WCAG 2: at least 4.5 for what is read."""
    page.emulate_media(color_scheme=scheme)
    found = page.evaluate(
        """() => {
        const parse = text => text.match(/[\\d.]+/g).map(Number);
        const linear = v => v <= 10.31 ? v / 3294.6 : ((v / 255 + 0.055) / 1.055) ** 2.4;
        const light = ([r, g, b]) => [r, g, b].map(linear)
            .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
        const back = e => { for (; e; e = e.parentElement) {
            const c = parse(getComputedStyle(e).backgroundColor); if (c.length < 4 || c[3] > 0) return c; } };
        return ['h1', '.facts dd', '.where.inside', '.where.better', '.where.worse', '.card .error', '.replace .answer',
                '.delete .reference', '.insert .answer', 'td.ours small', '.soft'].map(selector => {
            const e = document.querySelector(selector), a = light(parse(getComputedStyle(e).color)), b = light(back(e));
            return [selector, (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05)]; });
        }"""
    )
    assert [pair for pair in found if pair[1] < 4.5] == []
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, paper[4:-1].split(", "))) > 600) == (scheme == "light")


@pytest.mark.parametrize("width", [320, 390, 768, 1280])
def test_no_window_is_too_narrow(page: Any, width: int):
    page.set_viewport_size({"width": width, "height": 800})
    page.evaluate("document.querySelectorAll('details').forEach(part => { part.open = true; })")
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_print_shows_everything_but_controls(page: Any):
    page.emulate_media(media="print")
    assert not page.locator(".filters").is_visible()
    assert page.locator(".figures").first.is_visible()
    assert page.pdf().startswith(b"%PDF")
