"""The page's login: the server's key, once, for as long as the browser is open."""

import asyncio
import hashlib
import hmac
import secrets
from urllib.parse import parse_qs

from starlette.requests import HTTPConnection, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

_COOKIE = "auricle_page"
_FORM_BYTES = 10_000
_WRONG_S = 0.5  # before a wrong key is answered
_FORM = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Auricle: log in</title>
<link rel="icon" href="favicon.ico">
<style>
:root {{ color-scheme: light dark; --ink: #1d2433; --paper: #fafbfc; --line: #6b7688; --accent: #0b6e69; --on: #fff }}
@media (prefers-color-scheme: dark) {{
  :root {{ --ink: #e6eaf0; --paper: #12161d; --line: #8b96a8; --accent: #5cc8c0; --on: #06201e }}
}}
body {{ background: var(--paper); color: var(--ink); font: 1rem/1.5 system-ui, sans-serif; margin: 0 }}
main {{ margin: 18vh auto 0; max-width: 20rem; padding: 0 1rem }}
h1 {{ font-size: 1.5rem; margin: 0 0 1rem }}
label, input, button {{ box-sizing: border-box; display: block; font: inherit; width: 100% }}
input, button {{ border-radius: 6px; margin-top: .4rem; padding: .6rem .75rem }}
input {{ background: transparent; border: 1px solid var(--line); color: inherit }}
button {{ background: var(--accent); border: 0; color: var(--on); cursor: pointer; font-weight: 600; margin-top: 1rem }}
:focus-visible {{ outline: 3px solid var(--accent); outline-offset: 2px }}
[role=alert] {{ border-left: 3px solid #c4314b; margin: 0 0 1rem; padding-left: .75rem }}
</style>
<main>
<h1>Auricle</h1>
{alert}
<form method="post">
<label for="password">API key of this server</label>
<input id="password" name="password" type="password" autocomplete="current-password" required autofocus>
<button>Log in</button>
</form>
</main>
</html>
"""


class Login:
    """Who has shown the key has a cookie that says so; it means nothing to another server, nor after a restart."""

    def __init__(self, api_key: str) -> None:
        self._key = hashlib.sha256(api_key.encode()).digest()
        self._token = secrets.token_urlsafe(32)

    def knows(self, connection: HTTPConnection) -> bool:
        """Whether this browser has logged in."""
        shown = connection.cookies.get(_COOKIE, "")
        return hmac.compare_digest(shown.encode(), self._token.encode())

    async def answer(self, request: Request) -> Response:
        """The form, or what becomes of a filled one."""
        if request.method not in ("GET", "HEAD", "POST"):
            return Response(status_code=405, headers={"Allow": "GET, HEAD, POST"})
        if request.method != "POST":
            return _form("")
        shown = await _password(request)
        if not hmac.compare_digest(hashlib.sha256(shown.encode()).digest(), self._key):
            await asyncio.sleep(_WRONG_S)
            return _form('<p role="alert">That is not the key. It is what the server was started with: --api-key.</p>')
        answer = RedirectResponse("./", 303)
        answer.set_cookie(
            _COOKIE, self._token, httponly=True, samesite="strict", secure=request.url.scheme == "https", path="/"
        )
        return answer


def _form(alert: str) -> HTMLResponse:
    headers = {"Cache-Control": "no-store"}
    return HTMLResponse(_FORM.format(alert=alert), 401 if alert else 200, headers=headers)


async def _password(request: Request) -> str:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > _FORM_BYTES:
            return ""
    return parse_qs(body.decode(errors="replace")).get("password", [""])[0]
