"""multipart/form-data of strangers: the recording on disk, texts as texts, and a sentence for everything else."""

import asyncio
from contextlib import suppress
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request
from transcription_fixtures import form_of, multipart, part

from auricle.engines import GivenUpError
from auricle.serve.speech.form import read_form
from auricle.serve.wire.errors import ApiError

SOUND = bytes(range(256)) * 3
WHOLE = multipart(
    part("model", "whisper-1"),
    part("include[]", "logprobs"),
    part("file", SOUND, filename="a.wav", more="Content-Type: audio/wav\r\n"),
    part("prompt", "Zürich, 東京 --B\r\n"),
    part("include[]", "again"),
)


def refused(body: bytes, **options: object) -> ApiError:
    with pytest.raises(ApiError) as caught:
        form_of(body, **options)  # type: ignore[arg-type]
    return caught.value


@given(st.lists(st.integers(0, len(WHOLE)), max_size=12))
def test_the_parts_do_not_depend_on_how_the_bytes_come_in(cuts: list[int]):
    places = [0, *sorted(cuts), len(WHOLE)]
    form = form_of([WHOLE[start:end] for start, end in pairwise(places)])
    with form.recording:
        assert form.recording.read() == SOUND
    assert form.texts == {
        "model": ["whisper-1"],
        "include[]": ["logprobs", "again"],
        "prompt": ["Zürich, 東京 --B\r\n"],
    }
    assert form.name == "a.wav"


@given(st.binary(max_size=200), st.integers(0, len(WHOLE)), st.integers(0, len(WHOLE)))
def test_damaged_forms_are_refused_or_read_and_nothing_else_happens(noise: bytes, start: int, end: int):
    with suppress(ApiError):
        form_of(WHOLE[:start] + noise + WHOLE[end:]).recording.close()


def test_a_recording_without_a_file_name_is_one_whatever_its_bytes_are():
    form = form_of(multipart(part("file", SOUND)))
    with form.recording as recording:
        assert recording.read() == SOUND
    assert form.name == "the recording"


@pytest.mark.parametrize(
    ("filename", "name"),
    [
        ("", "the recording"),
        ("../../etc/passwd", "passwd"),
        ("C:\\songs\\a.mp3", "a.mp3"),
        ("a\x07b.wav", "a\N{REPLACEMENT CHARACTER}b.wav"),
        ("ä東.ogg", "ä東.ogg"),
        ("x" * 500 + ".wav", "x" * 76 + ".wav"),
    ],
)
def test_what_messages_call_a_recording_is_the_last_of_its_path(filename: str, name: str):
    form = form_of(multipart(part("file", SOUND, filename=filename)))
    form.recording.close()
    assert form.name == name


def test_a_long_recording_lies_on_disk_and_a_short_one_need_not():
    big = form_of(multipart(part("file", b"x" * 2**21, filename="a")))
    small = form_of(multipart(part("file", b"x", filename="a")))
    with big.recording, small.recording:
        assert big.recording._rolled  # type: ignore[attr-defined]
        assert not small.recording._rolled  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("body", "sentence", "param"),
    [
        (multipart(part("model", "a")), "the form has no recording; send it as `file`", "file"),
        (multipart(part("file", b"", filename="a.wav")), "the recording is empty", "file"),
        (multipart(part("file", b"")), "the recording is empty", "file"),
        (multipart(part("file", b"a"), part("file", b"b", filename="b")), "the form has several recordings", "file"),
        (
            multipart(part("file", b"a"), part("prompt", b"\xff\xfe")),
            "prompt is not valid UTF-8; expected a text",
            "prompt",
        ),
        (
            multipart(part("prompt", "hello", filename="prompt.txt"), part("file", b"a")),
            "prompt is a file, expected a text",
            "prompt",
        ),
        (multipart(part("file", b"a")).removesuffix(b"--\r\n"), "the form ends before its last boundary", None),
        (WHOLE[: len(WHOLE) // 2], "the form ends before its last boundary", None),
        (b"no form at all", "the form is damaged", None),
        (multipart(b"--B\r\nContent-Disposition: form-data\r\n\r\nx\r\n"), "a part of the form has no name", None),
        (multipart(b"--B\r\nContent-Type: text/plain\r\n\r\nx\r\n"), "a part of the form has no name", None),
        (multipart(*[part("include[]", "x")] * 101), "the form has more than 100 parts", None),
    ],
)
def test_what_is_no_proper_form_is_said_in_a_sentence(body: bytes, sentence: str, param: str | None):
    error = refused(body)
    assert (error.status, error.param) == (400, param)
    assert sentence in error.message


@pytest.mark.parametrize(
    "content_type", ["", "application/json", "multipart/form-data", "application/x-www-form-urlencoded"]
)
def test_another_type_of_body_is_refused(content_type: str):
    error = refused(WHOLE, content_type=content_type)
    assert error.status == 415
    assert "expected multipart/form-data with a boundary" in error.message


def test_sizes_are_limited_and_the_limit_itself_is_not_too_large():
    error = refused(multipart(part("file", b"x" * 2_000_001, filename="a")), most=2e6)
    assert (error.status, error.param, "larger than 2 MB" in error.message) == (413, "file", True)
    form_of(multipart(part("file", b"x" * 2_000_000, filename="a")), most=2e6).recording.close()

    error = refused(multipart(part("prompt", "x" * 200_000), part("model", "x" * 70_000), part("file", b"a")))
    assert (error.status, error.param, "texts are longer" in error.message) == (413, "model", True)


def test_a_client_that_leaves_while_it_sends_is_nobodys_error():
    async def receive() -> dict[str, str]:
        return {"type": "http.disconnect"}

    scope = {"type": "http", "method": "POST", "headers": [(b"content-type", b"multipart/form-data; boundary=B")]}
    with pytest.raises(GivenUpError):
        asyncio.run(read_form(Request(scope, receive), max_file_bytes=1))  # type: ignore[arg-type]
