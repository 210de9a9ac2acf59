"""What of the page can be reached over HTTP, and by whom; the API beside it works as without it."""

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from serving import Running, ScriptedService, running
from starlette.routing import Match, Route

from auricle.errors import UserError
from auricle.serve.app import create_app
from auricle.serve.gateway import Gateway
from auricle.serve.page import mount_page
from auricle.serve.page.door import PageMount
from auricle.serve.settings import ServeSettings

pytestmark = [  # gradio's use of pandas
    pytest.mark.filterwarnings("ignore:.*no_silent_downcasting"),
    pytest.mark.filterwarnings("ignore:The copy keyword is deprecated"),
]
KEY = "correct-horse"


@pytest.fixture(scope="module")
def open_page() -> Iterator[Running]:
    with running(ScriptedService(), page=True) as started:
        yield started


@pytest.fixture(scope="module")
def locked_page() -> Iterator[Running]:
    with running(ScriptedService(), page=True, api_key=KEY) as started:
        yield started


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong key is answered without the delay."""
    monkeypatch.setattr("auricle.serve.page.login._WRONG_S", 0.0)


@pytest.fixture
def browse() -> Iterator[Callable[[Running], httpx.Client]]:
    """A client with a cookie jar of its own."""
    with ExitStack() as stack:
        yield lambda server: stack.enter_context(server.http())


def _door(server: Running) -> PageMount:
    app = server.server.config.loaded_app
    while not hasattr(app, "routes"):
        app = app.app
    [mount] = [route for route in app.routes if isinstance(route, PageMount)]
    return mount


def _paths_of_gradio(server: Running) -> list[tuple[str, str]]:
    """(method, path) of every route that gradio brings, its parameters filled in."""
    inner: Any = _door(server).app._app  # type: ignore[attr-defined]
    gradio = [route.app for route in inner.routes if not isinstance(route, Route) and hasattr(route, "app")][-1]
    routes = list(gradio.routes)
    for route in gradio.routes:
        routes += getattr(getattr(route, "original_router", None), "routes", [])  # how FastAPI keeps an included router
    return [
        (method, re.sub(r"\{[^}]*\}", "x1", route.path))
        for route in routes
        if isinstance(route, Route)
        for method in sorted(route.methods - {"HEAD"})
    ]


def test_the_page_is_there_and_says_what_it_is(open_page: Running, browse: Any):
    got = browse(open_page).get("/")
    assert got.status_code == 200
    assert '<html\n\tlang="en"' in got.text
    assert '"title":"Auricle"' in got.text
    assert "default-src 'self'" in got.headers["content-security-policy"]
    assert got.headers["x-content-type-options"] == "nosniff"
    icon = browse(open_page).get("/favicon.ico")
    assert icon.content.startswith(b"\x89PNG")
    assert len(icon.content) < 10_000


def test_no_address_of_another_host_stands_in_what_is_fetched(open_page: Running, browse: Any):
    page = browse(open_page).get("/").text
    fetched = re.findall(r"""(?:<script[^>]*src|<link[^>]*href|<img[^>]*src)=["'](https?:)?//""", page)
    assert fetched == []
    assert "fonts.g" not in page
    assert "url(http" not in browse(open_page).get("/theme.css").text


def test_gradio_offers_nothing_that_the_page_does_not_need(open_page: Running, browse: Any):
    client = browse(open_page)
    offered = {
        path
        for method, path in _paths_of_gradio(open_page)
        if _door(open_page).matches({"type": "http", "path": path, "method": method, "headers": []})[0] == Match.FULL
    }
    assert offered == {
        "/",
        "/assets/x1",
        "/config",
        "/config/",
        "/favicon.ico",
        "/gradio_api/heartbeat/x1",
        "/gradio_api/queue/data",
        "/gradio_api/queue/join",
        "/gradio_api/startup-events",
        "/gradio_api/upload",
        "/gradio_api/upload_progress",
        "/login",
        "/login/",
        "/static/x1",
        "/theme.css",
    }
    refused = [path for _, path in _paths_of_gradio(open_page) if path not in offered and "file=" not in path]
    assert len(refused) > 40
    for path in ("/gradio_api/info", "/gradio_api/run/predict", "/gradio_api/proxy=https://example.org/x"):
        assert client.get(path).json()["error"]["type"] == "not_found_error"


def test_nothing_is_reachable_without_the_key(locked_page: Running, browse: Any):
    client = browse(locked_page)
    tried = 0
    for method, path in _paths_of_gradio(locked_page):
        if path.rstrip("/") in ("", "/login", "/favicon.ico"):
            continue
        tried += 1
        assert client.request(method, path).status_code in (401, 404, 405), path
    assert tried > 50
    for method, path in (("GET", "/page/script"), ("POST", "/page/picture"), ("GET", "/gradio_api/file=/etc/passwd")):
        assert client.request(method, path).status_code == 401
    assert client.get("/").headers["location"] == "login"


def test_the_key_opens_the_page_and_no_other_does(locked_page: Running, browse: Any):
    client = browse(locked_page)
    form = client.get("/login")
    assert form.status_code == 200
    assert '<label for="password">' in form.text
    assert form.headers["referrer-policy"] == "same-origin"  # else a browser's form has the origin "null", refused
    for wrong in ({"password": "wrong"}, {"password": KEY + "x"}, {"password": ""}, {}, {"username": KEY}):
        refused = client.post("/login", data=wrong)
        assert refused.status_code == 401
        assert "That is not the key." in refused.text
        assert not client.cookies
    right = client.post("/login", data={"username": "anybody", "password": KEY})
    assert (right.status_code, right.headers["location"]) == (303, "./")
    cookie = right.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert KEY not in cookie
    assert client.get("/").status_code == 200


def test_a_wrong_key_is_answered_late_while_others_are_served(
    locked_page: Running, browse: Any, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("auricle.serve.page.login._WRONG_S", 1.0)
    client = browse(locked_page)
    with pytest.raises(httpx.ReadTimeout):
        client.post("/login", data={"password": "wrong"}, timeout=0.3)
    assert client.get("/login", timeout=0.5).status_code == 200
    assert client.post("/login", data={"password": KEY}, timeout=0.5).status_code == 303


@pytest.mark.parametrize("cookie", ["", "wrong", KEY, "é" * 3])
def test_a_made_up_cookie_does_not_open_it(locked_page: Running, browse: Any, cookie: str):
    headers = {"Cookie": f"auricle_page={cookie}".encode()}
    assert browse(locked_page).get("/config", headers=headers).status_code == 401


def test_a_login_is_not_read_without_end(locked_page: Running, browse: Any):
    assert browse(locked_page).post("/login", content=b"password=" + b"x" * 20_000).status_code == 401
    assert browse(locked_page).put("/login").status_code == 405


def test_without_a_key_there_is_no_login(open_page: Running, browse: Any):
    assert browse(open_page).get("/login").headers["location"] == "./"


def _event(path: str) -> dict[str, Any]:
    file = {"path": path, "meta": {"_type": "gradio.FileData"}}
    return {"data": [file, "Transcribe", "en", "English"], "fn_index": 5, "session_hash": "s1"}


@pytest.mark.parametrize("path", ["https://example.org/a.wav", "http://127.0.0.1/", "file:///etc/passwd", "a.wav", ""])
def test_an_event_cannot_make_the_server_fetch_an_address(open_page: Running, browse: Any, path: str):
    got = browse(open_page).post("/gradio_api/queue/join", json=_event(path))
    assert (got.status_code, got.json()["error"]["message"]) == (
        400,
        "a recording of the page is an uploaded file, not an address",
    )


@pytest.mark.parametrize(("body", "status"), [(b"{", 400), (b"[" * 100_000, 400), (b" " * (2**20 + 1), 413)])
def test_an_event_is_small_json(open_page: Running, browse: Any, body: bytes, status: int):
    assert browse(open_page).post("/gradio_api/queue/join", content=body).status_code == status


def test_a_file_of_the_machine_is_neither_read_nor_served(open_page: Running, browse: Any, tmp_path: Path):
    """gradio takes any path for an upload where its app is mounted, unless told that it runs."""
    secret = tmp_path / "secret.txt"
    secret.write_text("the secret")
    client = browse(open_page)
    assert client.get(f"/gradio_api/file={secret}").status_code == 403
    config = client.get("/config").json()
    [start] = [one for one in config["dependencies"] if len(one["inputs"]) == 4 and len(one["outputs"]) == 7]
    event = _event(str(secret)) | {"fn_index": start["id"]}
    assert client.post("/gradio_api/queue/join", json=event).status_code == 200
    with client.stream("GET", "/gradio_api/queue/data?session_hash=s1") as stream:
        told = next(line for line in stream.iter_lines() if "process_completed" in line)
    assert '"success":false' in told
    from auricle.serve.page import _uploads

    assert [file for file in _uploads().path.rglob("*") if file.is_file() and "secret" in file.name] == []


def test_an_upload_larger_than_the_limit_is_refused(browse: Any):
    with running(ScriptedService(), page=True, max_upload_mb=1) as server:
        client = browse(server)
        assert client.post("/gradio_api/upload", files={"files": ("a.wav", b"x" * 1000)}).status_code == 200
        assert client.post("/gradio_api/upload", files={"files": ("a.wav", b"x" * 1_200_000)}).status_code == 413


def test_the_api_works_beside_the_page(open_page: Running, browse: Any):
    client = browse(open_page)
    for path in ("/health", "/metrics", "/docs", "/openapi.json", "/v1/models"):
        assert client.get(path).status_code == 200, path
    assert client.get("/v1/nothing").json()["error"]["code"] == "unknown_url"
    wrong = client.get("/v1/chat/completions")
    assert wrong.status_code == 405
    assert "POST" in wrong.headers["allow"]
    assert not [path for path in client.get("/openapi.json").json()["paths"] if "page" in path or "gradio" in path]


def test_a_picture_is_drawn_of_pcm_and_of_nothing_else(open_page: Running, browse: Any):
    client = browse(open_page)
    drawn = client.post("/page/picture", content=b"\x00\x40" * 24_000)
    assert "1.0 s" in drawn.text
    assert "<figure" in drawn.text
    assert client.post("/page/picture", content=b"\x00" * (2 * 24_000 * 30 + 1)).status_code == 413
    assert "3.0 s" in client.post("/page/picture?rate=8000", content=b"\x00\x40" * 24_000).text
    assert client.post("/page/picture", content=b"").status_code == 400
    for rate in ("0", "-8000", "200000", "x"):
        assert client.post(f"/page/picture?rate={rate}", content=b"\x00\x40" * 24_000).status_code == 400


def test_without_gradio_the_page_says_what_to_install(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "gradio", None)
    gateway = Gateway(ScriptedService(), ServeSettings(page=False))
    with pytest.raises(UserError) as error:
        mount_page(create_app(gateway), gateway)
    assert str(error.value) == (
        "the web page needs gradio, which is not installed; pip install 'auricle[serve]', or serve without the page"
    )
    gateway.close()


@pytest.mark.slow
def test_a_server_without_the_page_does_not_import_gradio():
    code = "import sys, auricle.serve.app; sys.exit('gradio' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
