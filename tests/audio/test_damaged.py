"""Damage in the middle costs what is damaged, not the recording; a file that breaks off ends there."""

import io
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auricle.audio import load, stream_windows
from auricle.errors import UserError

Encode = Callable[..., bytes]
Sine = Callable[..., np.ndarray]
Whole = Callable[[str, str], bytes]
SECONDS = 12.0
# container, codec, s that the damage may cost (a Matroska cluster holds 5 s; an Ogg page 1 s, and two may be hit)
FORMATS = [
    ("mp3", "libmp3lame", 0.3),
    ("flac", "flac", 0.4),
    ("ogg", "libopus", 1.1),
    ("ogg", "flac", 2.1),
    ("wav", "pcm_s16le", 0.0),
    ("wav", "adpcm_ima_wav", 0.2),
    ("ipod", "aac", 0.4),
    ("webm", "libopus", 5.1),
    ("mpegts", "aac", 0.4),
]
IDS = [f"{container}-{codec}" for container, codec, _ in FORMATS]


@pytest.fixture(scope="module")
def whole(sine: Sine, encode_audio: Encode) -> Callable[[str, str], bytes]:
    tone = sine(SECONDS, hz=700)[None]
    return lambda container, codec: encode_audio(tone, container=container, codec=codec, rate=16000)


@pytest.fixture(scope="module")
def index_first(whole: Whole, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """An m4a as it is put on the web: its index lies before its sound."""
    path = tmp_path_factory.mktemp("web") / "a.m4a"
    options = {"movflags": "faststart"}
    with (
        av.open(io.BytesIO(whole("ipod", "aac"))) as source,
        av.open(str(path), "w", format="ipod", container_options=options) as output,
    ):
        stream = output.add_stream_from_template(source.streams.audio[0])
        for packet in source.demux(audio=0):
            if packet.size:
                packet.stream = stream
                output.mux(packet)
    return path.read_bytes()


def broken(contents: bytes, *, at: float, size: int = 400) -> bytes:
    """Noise over some bytes."""
    start = int(len(contents) * at)
    noise = np.random.default_rng(0).integers(0, 256, size).astype(np.uint8).tobytes()
    return contents[:start] + noise + contents[start + size :]


@pytest.mark.parametrize(("container", "codec", "cost_s"), FORMATS, ids=IDS)
def test_a_damaged_packet_in_the_middle(container: str, codec: str, cost_s: float, whole: Whole):
    contents = whole(container, codec)
    expected_s = load(contents).duration_s
    samples = load(broken(contents, at=0.5)).samples
    assert expected_s - cost_s - 0.001 <= len(samples) / 16000 <= expected_s + 0.001
    for second in (samples[16000:32000], samples[-32000:-16000]):  # before and after the damage
        assert float(np.abs(np.fft.rfft(second)).argmax()) == 700


def test_the_damage_is_really_there(whole: Whole):
    """FFmpeg's decoder does refuse a packet of what the test above hears; read naively the file would be lost."""
    contents = broken(whole("mp3", "libmp3lame"), at=0.5)
    with pytest.raises(av.InvalidDataError), av.open(io.BytesIO(contents)) as container:
        list(container.decode(audio=0))


def test_damage_is_said_once(whole: Whole, caplog: pytest.LogCaptureFixture):
    contents = whole("mp3", "libmp3lame")
    load(contents)
    assert not caplog.records
    load(broken(broken(contents, at=0.3), at=0.6))
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert record.getMessage().startswith("the recording is damaged: left out what cannot be decoded, ")


@pytest.mark.parametrize(("container", "codec", "_"), [each for each in FORMATS if each[0] != "ipod"])
@pytest.mark.parametrize("share", [0.4, 0.8])
def test_a_file_that_breaks_off(share: float, container: str, codec: str, _: float, whole: Whole):
    contents = whole(container, codec)
    samples = load(contents[: int(len(contents) * share)]).samples
    assert len(samples) / 16000 == pytest.approx(share * SECONDS, abs=1.1)
    assert float(np.abs(np.fft.rfft(samples[16000:32000])).argmax()) == 700


def test_an_m4a_that_breaks_off(index_first: bytes):
    samples = load(index_first[: len(index_first) // 2]).samples
    assert len(samples) / 16000 == pytest.approx(SECONDS / 2, abs=0.5)


def test_a_break_that_ffmpeg_reports(whole: Whole, caplog: pytest.LogCaptureFixture):
    contents = whole("wv", "wavpack")
    contents = contents[: int(len(contents) * 0.6)]
    with pytest.raises(av.InvalidDataError), av.open(io.BytesIO(contents)) as container:
        list(container.demux(audio=0))
    assert load(contents).duration_s > 2
    assert "the recording is damaged" in caplog.text


def test_a_gap_in_the_time_stamps(sine: Sine):
    """Cut out of a longer recording, or of a call that lost packets."""
    file = io.BytesIO()
    with av.open(file, "w", format="matroska") as output:
        stream = output.add_stream("pcm_s16le", rate=44100, layout="mono")
        for start in (0, 44100 * 60, 44100 * 90):
            frame = av.AudioFrame.from_ndarray((sine(1.0, rate=44100)[None] * 32767).astype(np.int16), "s16", "mono")
            frame.sample_rate, frame.pts = 44100, start
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    assert load(file.getvalue()).duration_s == pytest.approx(3.0, abs=0.01)


@pytest.mark.parametrize(
    ("container", "codec", "share"),
    [
        ("mp3", "libmp3lame", 0.005),
        ("flac", "flac", 0.01),
        ("ogg", "libopus", 0.01),
        ("ipod", "aac", 0.9),  # without its index, which lies at the end
        ("webm", "libopus", 0.005),
        ("mpegts", "aac", 0.002),
    ],
)
def test_a_file_that_breaks_off_before_its_first_sound(
    container: str, codec: str, share: float, whole: Whole, tmp_path: Path
):
    contents = whole(container, codec)
    path = tmp_path / "cut.audio"
    path.write_bytes(contents[: int(len(contents) * share)])
    with pytest.raises(UserError, match=r"^cannot decode .*cut\.audio: .+; expected a whole audio file"):
        load(path)


def test_no_packet_can_be_decoded(index_first: bytes):
    start = index_first.index(b"mdat") + 4
    with pytest.raises(
        UserError, match=r"cannot decode the recording: .+; expected a whole audio file, copy or record"
    ):
        load(index_first[:start] + b"\xff" * (len(index_first) - start))


def test_a_decoder_that_ffmpeg_lacks(whole: Whole):
    contents = bytearray(whole("avi", "pcm_s16le"))
    start = contents.index(b"strf") + 8
    contents[start : start + 2] = b"\x77\x7e"  # a codec that nobody knows
    with pytest.raises(UserError, match="FFmpeg has no decoder for its sound; convert it to wav or flac"):
        load(bytes(contents))


@pytest.mark.parametrize("rate", [1, 100, 2**31 - 1])
def test_a_header_with_an_absurd_rate(rate: int, whole: Whole):
    """At 1 sample per second this file would fill the memory 16,000 times over."""
    contents = bytearray(whole("wav", "pcm_s16le")[:20_000])
    contents[24:28] = rate.to_bytes(4, "little")
    with pytest.raises(UserError, match="cannot decode the recording: "):
        load(bytes(contents))


SHORT_FORMATS = [("mp3", "libmp3lame"), ("flac", "flac"), ("ogg", "libopus"), ("ipod", "aac"), ("wav", "adpcm_ima_wav")]


@pytest.fixture(scope="module")
def short(sine: Sine, encode_audio: Encode) -> list[bytes]:
    tone = sine(0.5)[None]
    return [encode_audio(tone, container=container, codec=codec, rate=16000) for container, codec in SHORT_FORMATS]


@settings(max_examples=100)
@given(
    number=st.integers(0, len(SHORT_FORMATS) - 1),
    damage=st.lists(st.tuples(st.floats(0, 1), st.binary(max_size=40)), max_size=4),
)
def test_any_damage_leaves_sound_or_a_sentence(number: int, damage: list[tuple[float, bytes]], short: list[bytes]):
    contents = bytearray(short[number])
    for at, noise in damage:
        start = int(len(contents) * at)
        contents[start : start + len(noise)] = noise
    with suppress(UserError):
        assert np.isfinite(load(bytes(contents)).samples).all()


class FailsAt(io.BytesIO):
    """A disk that breaks after some bytes."""

    def __init__(self, contents: bytes, good_bytes: int) -> None:
        super().__init__(contents)
        self.good_bytes = good_bytes

    def read(self, size: int | None = -1, /) -> bytes:
        if self.tell() >= self.good_bytes:
            raise OSError(5, "Input/output error")
        return super().read(size)


@pytest.mark.parametrize("good_bytes", [0, 10, 100_000])
def test_a_disk_that_fails_is_not_the_end_of_the_recording(good_bytes: int, whole: Whole):
    with pytest.raises(UserError, match=r"^cannot read the recording: Input/output error; expected an open file"):
        load(FailsAt(whole("wav", "pcm_s16le"), good_bytes))


def test_a_file_closed_between_two_windows(encode_audio: Encode, sine: Sine):
    contents = encode_audio(sine(70.0)[None], container="wav", codec="pcm_s16le", rate=16000)
    file = io.BytesIO(contents)
    windows = stream_windows(file)
    next(windows)
    file.close()
    with pytest.raises(UserError, match=r"^cannot read the recording: I/O operation on closed file; expected an open"):
        list(windows)
