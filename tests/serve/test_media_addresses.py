"""`audio_url`: what is fetched, byte for byte, and what is wrong with what is not."""

import base64
from pathlib import Path
from typing import Any

import pytest
from safe_tls import Site, site

from auricle.serve.settings import ServeSettings
from auricle.serve.sound.fetch import Fetcher
from auricle.serve.sound.media import Media
from auricle.serve.wire.errors import ApiError

__all__ = ["site"]


def refused(media: Media, url: str) -> ApiError:
    with pytest.raises(ApiError) as error:
        media.open(url).close()
    assert error.value.param == "audio_url"
    return error.value


@pytest.mark.parametrize("head", ["audio/wav;base64", ";base64", "audio/mpeg;codecs=mp3;base64", "AUDIO/WAV;BASE64"])
def test_data_in_the_address_is_decoded(head: str):
    content = bytes(range(256)) * 9
    text = base64.b64encode(content).decode()
    for written in (text, text.replace("+", "%2B").replace("/", "%2f")):
        with Media(ServeSettings()).open(f"data:{head},{written}") as file:
            assert file.read() == content


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("data:audio/wav,abc", "audio_url holds no base64"),
        ("data:audio/wav;base64", "audio_url holds no base64"),
        ("data:audio/wav;base64,!!!!", "audio_url holds damaged base64"),
        ("data:audio/wav;base64,abc", "audio_url holds damaged base64"),
        ("data:audio/wav;base64,\N{SNOWMAN}", "audio_url holds damaged base64"),
    ],
)
def test_damaged_data_is_refused(url: str, message: str):
    error = refused(Media(ServeSettings()), url)
    assert error.status == 400
    assert message in error.message


def test_data_that_is_too_large_is_413():
    media = Media(ServeSettings(max_upload_mb=1))
    assert refused(media, "data:;base64," + "A" * 1_400_000).status == 413
    with media.open("data:;base64," + "A" * 1_300_000) as file:
        assert len(file.read()) == 975_000


@pytest.mark.parametrize("length", ["said", "chunked", "until the end"])
def test_https_gives_the_bytes(site: Site, length: str):
    content = bytes(range(256)) * 999
    site.serve("/a%20b.wav?token=1%2B2", content, length=length)
    with site.fetcher().fetch(site.url("/a%20b.wav?token=1%2B2")) as file:
        assert file.read() == content
    [asked] = site.asked
    assert asked["Host"] == f"recordings.test:{site.port}"
    assert asked["Accept-Encoding"] == "identity"
    assert not {"Authorization", "Cookie", "Referer"} & set(asked)


def test_redirects_are_followed_a_few_times(site: Site):
    site.serve("/end", b"sound")
    for number in range(4):
        site.redirect(f"/{number}", f"/{number - 1}" if number else f"https://other.test:{site.port}/end")
    with site.fetcher().fetch(site.url("/2")) as file:
        assert file.read() == b"sound"
    with pytest.raises(ApiError, match="no public server gives it over https"):
        site.fetcher().fetch(site.url("/3"))


def test_proxies_of_the_environment_are_not_used(site: Site, monkeypatch: pytest.MonkeyPatch):
    for name in ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    site.serve("/a", b"sound")
    with site.fetcher().fetch(site.url("/a")) as file:
        assert file.read() == b"sound"


@pytest.mark.parametrize("status", [204, 206, 401, 404, 500])
def test_another_status_is_said(site: Site, status: int):
    site.serve("/a", b"" if status == 204 else b"sound", status=status)
    with pytest.raises(ApiError, match=f"it answered with status {status}"):
        site.fetcher().fetch(site.url("/a"))


def test_a_broken_answer_is_not_taken_for_a_whole_one(site: Site):
    for kind in ("cut", "cut chunk", "no answer", "compressed"):
        site.serve("/a", b"sound" * 99, length=kind)
        with pytest.raises(ApiError):
            site.fetcher().fetch(site.url("/a"))


def test_an_address_inside_media_reaches_the_fetcher(site: Site):
    site.serve("/a", b"sound")
    media = Media(ServeSettings(), fetcher=site.fetcher())
    with media.open(site.url("/a").replace("https:", "HTTPS:")) as file:
        assert file.read() == b"sound"
    assert isinstance(Media(ServeSettings())._fetcher, Fetcher)


def test_a_file_inside_the_directory_is_read(tmp_path: Path):
    folder = tmp_path / "with space"
    (folder / "deeper").mkdir(parents=True)
    (folder / "deeper" / "ä.wav").write_bytes(b"sound")
    (folder / "link.wav").symlink_to(folder / "deeper" / "ä.wav")
    media = Media(ServeSettings(allow_local_media=folder, max_upload_mb=1))
    for url in (
        (folder / "deeper" / "ä.wav").as_uri(),
        f"file://localhost{folder.as_posix().replace(' ', '%20')}/deeper/../deeper/%C3%A4.wav",
        (folder / "link.wav").as_uri(),  # a link inside, to the inside
    ):
        with media.open(url) as file:
            assert file.read() == b"sound"
    (folder / "large.wav").write_bytes(bytes(1_000_001))
    assert refused(media, (folder / "large.wav").as_uri()).status == 413


@pytest.mark.parametrize(
    "url", ["", "recording.wav", "/etc/passwd", "http://example.com/a.wav", "ftp://e.com/a", "c:/a"]
)
def test_other_addresses_are_refused(url: str):
    error: Any = refused(Media(ServeSettings()), url)
    assert "is not allowed: expected https://" in error.message
