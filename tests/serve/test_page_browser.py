"""The page in real Chromium, its fake microphone fed from a file: each tab end to end with the embedded model."""

import re
import shutil
import time
import wave
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import srt
from serving import Running, ScriptedService, native_service, running

from auricle.audio import load
from auricle.weights import Checkpoint

pytestmark = [
    pytest.mark.slow,
    pytest.mark.mini,
    pytest.mark.filterwarnings("ignore:.*no_silent_downcasting"),  # gradio's use of pandas
    pytest.mark.filterwarnings("ignore:The copy keyword is deprecated"),
]
RECORDINGS = Path(__file__).parents[2] / "examples" / "recordings"
PATIENCE_MS = 40_000
KEY = "open-sesame"
WIDE, PHONE = (1280, 900), (375, 800)
NAMELESS = """() => [...document.querySelectorAll('button, input, textarea, select, [tabindex="0"]')]
    .filter(e => e.getClientRects().length && !e.disabled)
    .filter(e => !(e.innerText || e.ariaLabel || e.title || [...(e.labels || [])].some(l => l.innerText.trim())))
    .map(e => e.outerHTML.slice(0, 120))"""
RING = """() => { const e = document.activeElement, s = getComputedStyle(e);
    return s.outlineStyle !== 'none' && parseFloat(s.outlineWidth) >= 2; }"""
FOCUSED = """() => { const e = document.activeElement;
    return (e.ariaLabel || e.labels?.[0]?.innerText || e.innerText).trim(); }"""


@pytest.fixture(scope="module")
def server(mini_checkpoint: Checkpoint) -> Iterator[Running]:
    with running(native_service(mini_checkpoint), page=True, model_name="mini") as started:
        yield started


@pytest.fixture(scope="module")
def microphone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two sentences with a pause, the second of which comes while the first is answered or after it."""
    quiet = np.zeros(3 * 16_000, np.float32)
    said = [quiet[:16_000], load(RECORDINGS / "prompt.flac").samples, quiet, load(RECORDINGS / "librivox.flac").samples]
    path = tmp_path_factory.mktemp("microphone") / "said.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes((np.concatenate([*said, *[quiet] * 20]) * 32767).astype("<i2").tobytes())
    return path


@pytest.fixture(scope="module")
def browser(microphone: Path) -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    executable = shutil.which("chromium")
    if executable is None:
        pytest.fail("the page's test needs a browser: apt-get install chromium (`make slow` does)")
    fake = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")
    capture = f"--use-file-for-fake-audio-capture={microphone}%noloop"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=["--no-sandbox", *fake, capture])
        yield browser
        browser.close()


@pytest.fixture
def visit(browser: Any) -> Iterator[Callable[..., Any]]:
    """`visit(server, size=..., scheme=...)`: an opened page.

    At the end: no error, no refused request, and none to another host.
    """
    contexts, wrong = [], list[str]()

    def start(server: Running, *, size: tuple[int, int] = WIDE, scheme: str = "light", path: str = "/") -> Any:
        context = browser.new_context(
            viewport={"width": size[0], "height": size[1]}, color_scheme=scheme, permissions=["microphone"]
        )
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(PATIENCE_MS)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda line: wrong.append(line.text) if line.type == "error" else None)
        page.on("response", lambda got: wrong.append(f"{got.status} {got.url}") if got.status >= 400 else None)
        here = (server.url, server.url.replace("http", "ws"), "data:", "blob:")
        context.on("request", lambda sent: None if sent.url.startswith(here) else wrong.append(sent.url))
        page.on("websocket", lambda opened: None if opened.url.startswith(here) else wrong.append(opened.url))
        page.goto(server.url + path)
        return page

    yield start
    for context in contexts:
        context.close()
    assert wrong == []


def open_tab(page: Any, name: str) -> None:
    page.get_by_role("tab", name=name).click()


def upload(page: Any, tab: str, *names: str) -> None:
    chooser = page.get_by_role("tabpanel").filter(visible=True).locator("input[type=file]").first
    chooser.set_input_files([RECORDINGS / name for name in names])
    for name in names:
        page.get_by_text(Path(name).stem).first.wait_for()


def test_voice_is_heard_answered_interrupted_and_drawn(visit: Callable[..., Any], server: Running):
    page = visit(server)
    page.get_by_role("button", name="Start microphone").click()
    log = page.get_by_role("log", name="Conversation")
    log.locator(".you").nth(1).filter(has_text="himself").wait_for()
    log.locator(".it span").nth(1).filter(has_text=re.compile(r"\w{2}")).wait_for()
    page.get_by_role("status").filter(has_text="Speak.").wait_for()
    assert "next available representative" in log.locator(".you").first.inner_text()
    assert page.get_by_role("img", name="Waveform of what was heard").is_visible()
    assert page.get_by_role("img", name="Log-mel spectrogram of what was heard").is_visible()
    assert page.evaluate("document.querySelector('#voice-heard img').naturalWidth") > 200
    open_tab(page, "Transcription")
    open_tab(page, "Voice chat")
    assert log.locator(".you").count() == 2  # nothing is lost by looking elsewhere
    page.get_by_role("button", name="Stop microphone").click()
    page.get_by_role("status").filter(has_text="The microphone is off.").wait_for()
    page.get_by_role("button", name="Clear").click()
    assert log.locator("p").count() == 0
    page.close()
    deadline = time.monotonic() + 20
    while server.gateway.num_live and time.monotonic() < deadline:
        time.sleep(0.05)
    assert server.gateway.num_live == 0


def test_what_is_typed_is_answered_and_can_be_stopped(visit: Callable[..., Any], server: Running):
    page = visit(server, size=PHONE, scheme="dark")
    page.get_by_label("Or type").fill("Tell me a very long story.")
    page.keyboard.press("Enter")
    answer = page.get_by_role("log", name="Conversation").locator(".it span")
    answer.filter(has_text=" ").wait_for()
    stop = page.get_by_role("button", name="Stop answer")
    if stop.is_enabled():  # a quick machine may have finished
        stop.click()
    page.get_by_role("status").filter(has_text="Done.").wait_for()
    assert len(answer.inner_text()) > 3


def test_a_transcript_with_subtitles(visit: Callable[..., Any], server: Running, tmp_path: Path):
    page = visit(server)
    open_tab(page, "Transcription")
    upload(page, "transcription", "librivox.flac")
    page.get_by_role("button", name="Start", exact=True).click()
    page.get_by_text("Done: 3.3 s of English.").wait_for()
    said = page.get_by_role("log", name="Transcript").inner_text()
    assert "He might even have been made" in said
    assert page.get_by_role("img", name="Log-mel spectrogram of librivox.flac").is_visible()
    assert page.get_by_role("button", name="Download").count() == 4
    with page.expect_download() as download:
        page.get_by_role("button", name="Download srt").click()
    assert download.value.suggested_filename == "librivox.srt"
    [*cues] = srt.parse(Path(download.value.path()).read_text())
    assert " ".join(cue.content.replace("\n", " ") for cue in cues) in " ".join(said.split())
    assert cues[0].start.total_seconds() < cues[-1].end.total_seconds() <= 3.4


def test_a_question_and_a_further_one(visit: Callable[..., Any], server: Running):
    page = visit(server)
    open_tab(page, "Analysis")
    upload(page, "analysis", "prompt.flac")
    page.get_by_role("button", name="What is said?").click()
    page.get_by_role("button", name="Ask", exact=True).click()
    page.get_by_text("Done.").wait_for()
    chat = page.locator("#analysis-chat")
    assert "(1 recording)" in chat.inner_text()
    assert "Your call is now" in chat.inner_text()
    assert page.get_by_role("img", name="Log-mel spectrogram of prompt.flac").is_visible()
    question = page.get_by_label("Question", exact=True)
    question.fill("Repeat it <b>please</b>.")
    question.press("Enter")
    chat.get_by_text("Repeat it <b>please</b>.").wait_for()
    page.get_by_text("Done.").wait_for()
    page.get_by_role("button", name="Clear", exact=True).last.click()
    page.get_by_text("Cleared.").wait_for()
    assert "Your call" not in chat.inner_text()


def test_a_recorded_question_can_be_asked_about(visit: Callable[..., Any], server: Running):
    page = visit(server)
    open_tab(page, "Analysis")
    page.get_by_role("button", name="Record", exact=True).click()
    page.wait_for_timeout(2500)
    page.get_by_role("button", name="Stop", exact=True).first.click()
    page.locator("audio, #waveform, [data-testid^=waveform]").first.wait_for()
    page.get_by_label("Question", exact=True).fill("What is said?")
    page.get_by_role("button", name="Ask", exact=True).click()
    page.get_by_text("Done.").wait_for()
    assert "(1 recording)" in page.locator("#analysis-chat").inner_text()


def test_closing_the_window_ends_its_work(visit: Callable[..., Any], server: Running, tmp_path: Path):
    page = visit(server)
    open_tab(page, "Transcription")
    long = tmp_path / "long.wav"
    speech = np.tile(np.pad(load(RECORDINGS / "librivox.flac").samples, (0, 16_000)), 150)
    with wave.open(str(long), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes((speech * 32767).astype("<i2").tobytes())
    page.get_by_role("tabpanel").filter(visible=True).locator("input[type=file]").first.set_input_files(long)
    page.get_by_text("long").first.wait_for()
    page.get_by_role("button", name="Start", exact=True).click()
    page.get_by_text("Listening …").wait_for()
    assert server.gateway.admission.running == 1
    page.close()
    deadline = time.monotonic() + 20
    while server.gateway.admission.running and time.monotonic() < deadline:
        time.sleep(0.05)
    assert server.gateway.admission.running == 0


def _tab_to(page: Any, name: str) -> None:
    """Press Tab until a control is reached; its ring must show at every stop. gradio's lists drop the focus once."""
    for _ in range(40):
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement === document.body") or page.evaluate(RING), page.evaluate(
            "document.activeElement.outerHTML"
        )[:200]
        if page.evaluate(FOCUSED).startswith(name):
            return
    pytest.fail(f"Tab never reaches {name}")


def test_the_keyboard_alone_walks_through_all_three_tabs(visit: Callable[..., Any], server: Running):
    page = visit(server)
    page.get_by_role("tab", name="Analysis").wait_for()
    _tab_to(page, "Or type")
    page.keyboard.type("Hello.")
    _tab_to(page, "Send")
    page.keyboard.press("Enter")
    page.get_by_role("log", name="Conversation").locator(".it").wait_for()
    page.get_by_role("status").filter(has_text="Done.").wait_for()
    page.get_by_role("tab", name="Voice chat").focus()
    _tab_to(page, "Analysis")
    page.keyboard.press("Enter")
    page.get_by_label("Question", exact=True).wait_for()
    _tab_to(page, "Record")
    _tab_to(page, "Question")
    page.keyboard.type("Anything there?")
    _tab_to(page, "Ask")
    page.keyboard.press("Space")
    page.get_by_text("Add a recording first.").wait_for()
    _tab_to(page, "Settings")
    page.keyboard.press("Enter")
    page.get_by_label("Temperature (0 is the likeliest answer)").first.wait_for()
    page.get_by_role("tab", name="Analysis").focus()
    _tab_to(page, "Transcription")
    page.keyboard.press("Enter")
    _tab_to(page, "Transcribe")
    page.keyboard.press("ArrowRight")
    page.get_by_label("Translate to", exact=True).wait_for()
    _tab_to(page, "Language spoken")
    page.keyboard.type("Ger")
    page.get_by_role("option", name="English").wait_for(state="detached")
    page.keyboard.press("Enter")
    page.wait_for_function("() => document.querySelector('[aria-label=\"Language spoken\"]').value === 'German'")
    _tab_to(page, "Translate to")
    page.keyboard.type("Fre")
    page.get_by_role("option", name="English").wait_for(state="detached")
    page.keyboard.press("Enter")
    page.wait_for_function("() => document.querySelector('[aria-label=\"Translate to\"]').value === 'French'")
    _tab_to(page, "Start")
    page.keyboard.press("Enter")
    page.get_by_text("Add a recording first.").filter(visible=True).wait_for()


@pytest.mark.parametrize(("width", "scheme"), [(320, "light"), (320, "dark"), (1280, "dark")])
def test_every_tab_fits_and_every_control_has_a_name(
    visit: Callable[..., Any], server: Running, width: int, scheme: str
):
    page = visit(server, size=(width, 700), scheme=scheme)
    for tab in ("Voice chat", "Analysis", "Transcription"):
        open_tab(page, tab)
        page.get_by_role("tabpanel").filter(visible=True).wait_for()
        if tab == "Analysis":
            page.get_by_role("button", name="Settings").click()
            upload(page, "analysis", "librivox.flac")
        page.wait_for_timeout(200)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.evaluate(NAMELESS) == []
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, paper[4:-1].split(", "))) > 600) == (scheme == "light")
    assert page.title() == "Auricle"
    assert page.evaluate("document.documentElement.lang") == "en"


def test_the_key_is_asked_for_once(visit: Callable[..., Any], browser: Any):
    with running(ScriptedService(), page=True, api_key=KEY) as locked:
        page = visit(locked)
        assert page.url == f"{locked.url}/login"
        assert page.evaluate("document.activeElement.type") == "password"
        page.keyboard.type(KEY)
        page.keyboard.press("Enter")
        page.get_by_label("Or type").fill("Hello.")
        page.keyboard.press("Enter")
        page.get_by_role("log", name="Conversation").locator(".it").wait_for()
        page.get_by_role("status").filter(has_text="Done.").wait_for()
        open_tab(page, "Transcription")
        upload(page, "transcription", "librivox.flac")
        page.get_by_role("button", name="Start", exact=True).click()
        page.get_by_text("Done: 3.3 s of English.").wait_for()
        page.close()
