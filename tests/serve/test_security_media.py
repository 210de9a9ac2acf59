"""What a stranger might reach through `audio_url`: this machine, its network, its files."""

import os
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from safe_tls import PEM, Site, site

from auricle.errors import UserError
from auricle.serve.settings import ServeSettings
from auricle.serve.sound.addresses import is_public, resolve
from auricle.serve.sound.media import Media
from auricle.serve.wire.errors import ApiError

__all__ = ["site"]

UNREACHABLE = "no public server gives it over https"


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "127.8.9.1", "0.0.0.0", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1"),
        *("169.254.169.254", "100.64.0.1", "100.100.100.200", "192.0.0.192", "192.0.2.1", "198.18.0.1", "198.51.100.1"),
        *(
            "203.0.113.1",
            "224.0.0.1",
            "239.255.255.250",
            "240.0.0.1",
            "255.255.255.255",
            "168.63.129.16",
            "192.88.99.1",
        ),
        *("::", "::1", "fe80::1", "fe80::1%eth0", "fc00::1", "fd00:ec2::254", "fec0::1", "ff02::1", "2001:db8::1"),
        *("::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:a9fe:a9fe", "::127.0.0.1", "::ffff:0:127.0.0.1"),
        *("64:ff9b::127.0.0.1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::1", "2002:7f00:1::", "2002:a9fe:a9fe::1"),
        *("2001:0:53aa:64c:0:0:80ff:fffe", "2001::1", "100::1", "3fff::1", "5f00::1", "2606:4700::1%lo"),
        *("", "localhost", "0x7f.1", "2130706433", "127.1"),
    ],
)
def test_private_and_special_addresses_are_not_public(address: str):
    assert not is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        "93.184.216.34",
        "1.1.1.1",
        "2606:4700:4700::1111",
        "2a00:1450::1",
        "64:ff9b::1.1.1.1",
        "::ffff:1.1.1.1",
        "172.32.0.1",
    ],
)
def test_public_addresses_are_public(address: str):
    """The control: not everything is refused."""
    assert is_public(address)


@pytest.mark.parametrize(
    "host",
    ["localhost", "127.0.0.1", "127.1", "0x7f000001", "2130706433", "0177.0.0.1", "0", "[::1]", "[::ffff:127.0.0.1]"],
)
def test_every_spelling_of_this_machine_is_refused(site: Site, host: str):
    """Names and numbers go through the system's own resolver, and what it gives is what is checked."""
    site.serve("/", b"secret")
    media = Media(ServeSettings())
    with pytest.raises(ApiError, match=UNREACHABLE):
        media.open(site.url("/", host))
    assert site.asked == []


def test_dns_rebinding_is_given_no_second_lookup(site: Site, monkeypatch: pytest.MonkeyPatch):
    """The name means a good address when it is checked; it would mean another one when connected to."""
    site.serve("/", b"sound")
    answers = iter([["127.0.0.1"], ["127.0.0.2"]])
    fetcher = site.fetcher(addresses=lambda host: next(answers))

    def looked_up(*arguments: object, **options: object) -> None:
        raise AssertionError("looked up once more")

    monkeypatch.setattr(socket, "getaddrinfo", looked_up)
    monkeypatch.setattr(socket, "gethostbyname", looked_up)
    fetcher.fetch(site.url("/")).close()
    assert site.resolved == ["recordings.test"]
    with pytest.raises(ApiError, match=UNREACHABLE):
        fetcher.fetch(site.url("/"))
    assert len(site.asked) == 1


def test_one_private_address_among_good_ones_spoils_the_name(site: Site):
    site.serve("/", b"sound")
    for found in (["127.0.0.1", "10.0.0.1"], ["::1", "127.0.0.1"], []):
        with pytest.raises(ApiError, match=UNREACHABLE):
            site.fetcher(addresses=lambda host, found=found: found).fetch(site.url("/"))
    assert site.asked == []


@pytest.mark.parametrize(
    "to",
    [
        "https://169.254.169.254/latest/meta-data/",
        "https://metadata.test/",
        "http://recordings.test/",
        "http://169.254.169.254/latest/meta-data/",
        "file:///etc/passwd",
        "data:;base64,c2VjcmV0",
        "ftp://recordings.test/",
        "//10.0.0.1/",
        "https://user:word@recordings.test/",
        "https://recordings.test:22/",
        "https://",
        "https://[",
        "",
    ],
)
@pytest.mark.parametrize("status", [301, 307])
def test_redirect_to_metadata_service_is_refused(site: Site, to: str, status: int):
    """Each address of a chain is checked like the first; https is never left."""
    private = {"metadata.test": ["169.254.169.254"], "169.254.169.254": ["169.254.169.254"], "10.0.0.1": ["10.0.0.1"]}
    site.redirect("/", to, status)
    with pytest.raises(ApiError, match=UNREACHABLE):
        site.fetcher(addresses=lambda host: private.get(host, ["127.0.0.1"])).fetch(site.url("/"))
    assert len(site.asked) <= 4


@pytest.mark.parametrize(
    "url", ["https://a:b@{}/", "https://a@{}/", "https://{}:22/", "https://{}:25/", "https://{}:80/"]
)
def test_credentials_and_ports_of_other_services_are_refused(site: Site, url: str):
    with pytest.raises(ApiError, match=UNREACHABLE) as refused:
        site.fetcher().fetch(url.format("recordings.test"))
    assert "a:b" not in refused.value.message
    assert site.resolved == []


@pytest.mark.parametrize(
    "url", ["https://recordings.test:99999/", "https://[::1/", "https:///a", "https:a", "https://\x00/"]
)
def test_addresses_that_are_none_are_refused(site: Site, url: str):
    with pytest.raises(ApiError, match=UNREACHABLE):
        site.fetcher().fetch(url)


def test_a_line_break_in_an_address_adds_no_header(site: Site):
    site.serve("/a%0D%0AX-Evil:%201", b"sound")
    site.serve("/aX-Evil:%201", b"sound")
    for path in ("/a%0D%0AX-Evil:%201", "/a\r\nX-Evil: 1"):
        site.fetcher().fetch(site.url(path)).close()
    assert not any("X-Evil" in headers for headers in site.asked)


def test_a_certificate_for_another_name_or_by_nobody_is_refused(site: Site):
    site.serve("/", b"sound")
    for url, options in (
        (site.url("/", "evil.test"), {}),
        (site.url("/"), {"context": ssl.create_default_context()}),
        (site.url("/"), {"context": None}),
    ):
        with pytest.raises(ApiError, match=UNREACHABLE):
            site.fetcher(**options).fetch(url)
    assert site.asked == []
    site.fetcher(context=ssl.create_default_context(cafile=str(PEM))).fetch(site.url("/", "other.test")).close()


def test_errors_do_not_map_a_private_network(site: Site, unused_port: int, plain_port: int):
    """Closed, open without TLS, of another name, forbidden, unknown: one sentence, without what was found there."""

    def unknown(host: str) -> list[str]:
        raise socket.gaierror(-2, "Name or service not known")

    def forbidden(host: str) -> list[str]:
        return ["10.0.0.1"]

    said = set()
    for port, addresses in ((unused_port, None), (plain_port, None), (site.port, unknown), (site.port, forbidden)):
        with pytest.raises(ApiError) as refused:
            site.fetcher(addresses=addresses).fetch(f"https://recordings.test:{port}/")
        assert refused.value.status == 400
        said.add(refused.value.message.replace(str(port), "PORT"))
    assert len(said) == 1


@pytest.fixture
def unused_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return sock.getsockname()[1]


@pytest.fixture
def plain_port() -> Iterator[int]:
    """Something that speaks no TLS."""
    with socket.create_server(("127.0.0.1", 0)) as sock:

        def answer() -> None:
            try:
                while True:
                    connection, _ = sock.accept()
                    with connection:
                        connection.sendall(b"220 mail.internal ESMTP\r\n")
            except OSError:
                pass

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        yield sock.getsockname()[1]
        sock.shutdown(socket.SHUT_RDWR)
    thread.join()


@pytest.mark.parametrize("length", ["said", "chunked", "until the end"])
def test_endless_download_is_cut_off(site: Site, length: str):
    site.serve("/", bytes(300_000), length=length)
    before = set(os.listdir("/proc/self/fd"))
    with pytest.raises(ApiError, match=r"audio_url is larger than 0\.1 MB") as refused:
        site.fetcher(most_bytes=100_000).fetch(site.url("/"))
    assert refused.value.status == 413
    assert len(os.listdir("/proc/self/fd")) <= len(before) + 1  # the server's own end may close a moment later
    site.fetcher(most_bytes=300_000).fetch(site.url("/")).close()


@pytest.mark.parametrize("length", ["said", "chunked", "until the end"])
def test_slow_download_is_cut_off(site: Site, length: str):
    """Every piece comes in time, all of them do not; what came is not taken for the whole."""
    site.serve("/", bytes(300_000), length=length, pause_s=0.1)
    start = time.monotonic()
    with pytest.raises(ApiError, match=UNREACHABLE):
        site.fetcher(timeout_s=0.4).fetch(site.url("/"))
    assert time.monotonic() - start < 2


def test_a_server_that_never_answers_is_given_up(site: Site):
    """Neither the name, nor the connection, nor the handshake is waited for longer than the whole may take."""

    def slow(host: str) -> list[str]:
        time.sleep(1)
        return ["127.0.0.1"]

    with socket.create_server(("127.0.0.1", 0)) as deaf:
        for port, addresses in ((deaf.getsockname()[1], None), (site.port, slow)):
            start = time.monotonic()
            with pytest.raises(ApiError, match=UNREACHABLE):
                site.fetcher(timeout_s=0.3, addresses=addresses).fetch(f"https://recordings.test:{port}/")
            assert 0.2 < time.monotonic() - start < 1


def test_the_systems_resolver_gives_numbers():
    assert ("127.0.0.1", 443) in [address[:2] for _, address in resolve("localhost", 443)]


# Files.


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "media"
    made.mkdir()
    (made / "a.wav").write_bytes(b"sound")
    (tmp_path / "secret.wav").write_bytes(b"secret")
    (tmp_path / "media-too").mkdir()
    (tmp_path / "media-too" / "secret.wav").write_bytes(b"secret")
    return made


def refusal(folder: Path | None, url: str) -> str:
    with pytest.raises(ApiError) as refused:
        Media(ServeSettings(allow_local_media=folder)).open(url).close()
    assert refused.value.status == 400
    return refused.value.message


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "FILE:///etc/passwd", "file:/etc/passwd", "file://localhost/etc/passwd"]
)
def test_no_file_is_read_unless_allowed(url: str, folder: Path):
    assert "is not allowed: expected https://" in refusal(None, url)
    assert "no such file in the directory of --allow-local-media" in refusal(folder, url)


@pytest.mark.parametrize(
    "path",
    [
        "/../secret.wav",
        "/%2e%2e/secret.wav",
        "/..%2fsecret.wav",
        "/./../media/../secret.wav",
        "-too/secret.wav",
        "/../media-too/secret.wav",
        "/a.wav/../../secret.wav",
        "/a.wav%00.png",
        "/%ff",
        "",
        "/",
        "/missing.wav",
        "/a.wav?x=1",
        "/a.wav#x",
        "/" + "a" * 5000,
    ],
)
def test_path_traversal_leads_nowhere(folder: Path, path: str):
    assert refusal(folder, f"file://{folder}{path}").endswith("--allow-local-media; check the path")


@pytest.mark.parametrize("url", ["file:a.wav", "file:../secret.wav", "file://evil.test/a.wav", "file:////etc/passwd"])
def test_files_elsewhere_are_refused(folder: Path, url: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(folder)
    refusal(folder, url)


def test_symlink_escape_leads_nowhere(folder: Path):
    (folder / "out.wav").symlink_to(folder.parent / "secret.wav")
    (folder / "up").symlink_to(folder.parent)
    (folder / "circle").symlink_to(folder / "circle")
    names = ("out.wav", "up/secret.wav", "circle", "missing.wav")
    same = {refusal(folder, f"file://{folder}/{name}").partition(": no such ")[2] for name in names}
    assert len(same) == 1
    assert "secret" not in same.pop()


def test_a_link_put_there_meanwhile_leads_nowhere(folder: Path, monkeypatch: pytest.MonkeyPatch):
    """Between the check and the opening: what is opened is what was checked."""
    real = Path.resolve

    def swapped(self: Path, strict: bool = False) -> Path:
        found = real(self, strict=strict)
        if found.name == "a.wav":
            (folder / "a.wav").unlink()
            (folder / "a.wav").symlink_to(folder.parent / "secret.wav")
        return found

    monkeypatch.setattr(Path, "resolve", swapped)
    refusal(folder, f"file://{folder}/a.wav")


def test_pipes_and_devices_are_not_opened(folder: Path):
    """A pipe would be waited for, /dev/zero would never end."""
    os.mkfifo(folder / "pipe.wav")
    start = time.monotonic()
    refusal(folder, f"file://{folder}/pipe.wav")
    refusal(Path("/dev"), "file:///dev/zero")
    refusal(Path("/proc/self"), "file:///proc/self/fd")
    assert time.monotonic() - start < 1


def test_the_directory_must_be_one(folder: Path):
    with pytest.raises(UserError, match="is not a directory; name one"):
        ServeSettings(allow_local_media=folder / "a.wav")
