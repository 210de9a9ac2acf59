"""The page: one file that holds its styles, its script, its charts and its sound, and asks no network for anything."""

import base64
import hashlib
from importlib import resources

from auricle.errors import UserError
from auricle.evaluate.flags import FLAGS
from auricle.evaluate.report.build import recordings_of
from auricle.evaluate.report.standing import UNSIGNED
from auricle.evaluate.report.view import Page

_FOLDER = ("assets", "report")


def html(page: Page) -> str:
    """The whole file. Only the script of the assets may run in it: the policy in its head names the script's hash.

    Raises:
        UserError: jinja2 is not installed.
    """
    try:
        import jinja2
    except ImportError as error:
        raise UserError("reports need jinja2: install it with pip install 'auricle[eval]'") from error
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_read),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    script = _read("page.js")
    return environment.get_template("page.html.jinja").render(
        page=page,
        flags=FLAGS,
        unsigned=UNSIGNED,
        sounds={key: player.data for key, player in recordings_of(page).items()},
        style=_read("style.css"),
        script=script,
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )


def _read(name: str) -> str:
    return resources.files("auricle").joinpath(*_FOLDER, name).read_text(encoding="utf-8")
