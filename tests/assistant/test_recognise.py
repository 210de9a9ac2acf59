"""Transcripts and translations: windows joined, tags taken off, order kept, loops retried, bad recordings named."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from auricle import Assistant, Sampling, UserError
from auricle.assistant import NO_FALLBACK, Result, Segment, Watch
from auricle.assistant.languages import HEARD
from auricle.audio import Source, Waveform

from .scripted import Scripted

Noise = Callable[..., np.ndarray]
RATE = 16000
ASKED = "*Detect the language and recognize the speech:"


def translated(engine: Scripted, recording: Source, *, to: str, language: str = "auto") -> Result:
    return next(Assistant(engine).translate_each([recording], to=to, language=language, voice=None))


@pytest.mark.parametrize("ahead", [1, 2, 5])
@pytest.mark.parametrize("batch_size", [1, 3])
def test_windows_are_joined_and_the_order_is_kept(ahead: int, batch_size: int, noise: Noise):
    engine = Scripted("one", " two ", "", "three", "four", ahead=ahead, batch_size=batch_size)
    short, long, last = (noise(1), 16000), (noise(65), 16000), (noise(2), 16000)
    results = Assistant(engine).transcribe([short, long, last], voice=None)
    assert [result.text for result in results] == ["one", "two three", "four"]
    assert [result.duration_s for result in results] == [1, 65, 2]
    assert [result.num_tokens for result in results] == [2, 6, 2]
    heard = np.concatenate([request.audios[0].samples for request in engine.requests[1:4]])
    np.testing.assert_array_equal(heard, long[0])
    assert all(request.audios[0].duration_s <= 30 for request in engine.requests)


def test_segments_follow_one_another(noise: Noise):
    engine = Scripted("one", "two", "three", logprobs=(-3.0, -6.0, -1.5))
    result = Assistant(engine).transcribe((noise(65), 16000), voice=None)
    assert [segment.text for segment in result.segments] == ["one", "two", "three"]
    assert [segment.logprob for segment in result.segments] == [-1.0, -2.0, -0.5]
    ends = [segment.end_s for segment in result.segments]
    assert [segment.start_s for segment in result.segments] == [0.0, *ends[:-1]]
    assert ends[-1] == 65
    assert {segment.temperature for segment in result.segments} == {0.0}


def test_one_recording_one_result_a_list_a_list(noise: Noise):
    recording = (noise(1), 16000)
    assert Assistant(Scripted("a")).transcribe(recording, voice=None).text == "a"
    assert [result.text for result in Assistant(Scripted("a")).transcribe([recording], voice=None)] == ["a"]
    assert Assistant(Scripted()).transcribe([], voice=None) == []


@pytest.mark.parametrize(
    ("language", "said", "text", "asked"),
    [
        ("en", "<|en|>Hello", "Hello", f"{ASKED} <|en|>"),
        ("German", "Hallo", "Hallo", f"{ASKED} <|de|>"),
        ("yue", " <|yue|>nei hou", "nei hou", f"{ASKED} <|yue|>"),
        ("en", "Say <|en|> twice <|de|>", "Say <|en|> twice <|de|>", f"{ASKED} <|en|>"),
        ("fr", "<|FR|>Bonjour.", "<|FR|>Bonjour.", f"{ASKED} <|fr|>"),
    ],
)
def test_language(language: str, said: str, text: str, asked: str, noise: Noise):
    engine = Scripted(said)
    result = Assistant(engine).transcribe((noise(1), 16000), language=language, voice=None)
    assert result.text == text
    assert result.language_probability is None
    assert engine.prompts == [asked]
    assert engine.scored == []


def test_auto_finds_the_language_of_the_first_window_and_says_how_sure_it_is(noise: Noise):
    scores = np.log([0.05, 0.0125, 0.0125, 0.4, 0.005, 0.005, 0.005, 0.005, 0.005])  # French, of half the whole
    engine = Scripted("un", "deux", "trois", scores=tuple(scores))
    samples = noise(65)
    result = Assistant(engine).transcribe((samples, 16000), language="auto", voice=None)
    assert (result.text, result.language) == ("un deux trois", "fr")
    assert result.language_probability == pytest.approx(0.8)
    assert engine.prompts == [f"{ASKED} <|fr|>"] * 3
    [(request, continuations)] = engine.scored
    assert continuations == tuple(f" <|{language}|>" for language in HEARD)
    np.testing.assert_array_equal(request.audios[0].samples, samples[: len(request.audios[0].samples)])


def test_detect_language_ranks_the_given_languages(noise: Noise):
    engine = Scripted(scores=(-700.0, -701.0, -699.0))
    found = Assistant(engine).detect_language((noise(1), 16000), languages=["en", "German", "it"])
    assert list(found) == ["it", "en", "de"]
    assert sum(found.values()) == pytest.approx(1)
    assert found["it"] / found["en"] == pytest.approx(np.e)


def test_no_languages_to_choose_among(noise: Noise):
    with pytest.raises(UserError, match=r"no languages to choose among; name some, such as \['en', 'de'\]"):
        Assistant(Scripted()).detect_language((noise(1), 16000), languages=[])


class Deaf(Scripted):
    """Cannot score, as a server of OpenAI's API."""

    def score(self, *_: object) -> list[float]:
        raise UserError("the server cannot score given texts; use another engine for that")


def test_an_engine_that_cannot_find_the_language_is_refused_once(recordings: list[Path]):
    """It is no fault of the recordings: none of them is named, and the sentence says what would help."""
    refused: list[str | None] = []
    watch = Watch(refused=lambda path, _: refused.append(path))
    results = Assistant(Deaf(*"abc")).transcribe_each(recordings, language="auto", watch=watch, voice=None)
    sentence = "cannot find out the language: the server cannot score .* for that, or name the language"
    with pytest.raises(UserError, match=sentence):
        next(results)
    assert refused == []
    assert len(Assistant(Deaf(*"abc")).transcribe(list(recordings), language="de", voice=None)) == 3


def test_windows_of_unspaced_languages_are_joined_without_a_space(noise: Noise):
    for language, said, text in (("zh", ("你好", "世界"), "你好世界"), ("en", ("a", "b"), "a b")):
        result = Assistant(Scripted(*said)).transcribe((noise(40), 16000), language=language, voice=None)
        assert result.text == text


def test_an_initial_prompt_stands_before_every_window(noise: Noise):
    engine = Scripted("a", "b")
    Assistant(engine).transcribe((noise(40), 16000), initial_prompt="Auricle, Qwen.", voice=None)
    assert engine.prompts == [f"Auricle, Qwen.\n{ASKED} <|en|>"] * 2


def test_translation(noise: Noise):
    engine = Scripted("Hallo", "Welt", "eins")
    assert translated(engine, (noise(40), 16000), to="de", language="en").text == "Hallo Welt"
    translated(engine, (noise(1), 16000), to="Bavarian", language="fr")
    asked = "*Detect the language and translate the speech into {}:"
    assert engine.prompts == [asked.format("German") + " <|en|>"] * 2 + [asked.format("Bavarian") + " <|fr|>"]


def test_translation_finds_the_language_spoken_by_itself(noise: Noise):
    engine = Scripted("Hello", scores=(0.0, *[-9.0] * 3, -8.0, *[-9.0] * 4))
    result = translated(engine, (noise(1), 16000), to="Mandarin")
    assert result.language == "en"
    assert engine.prompts == ["*Detect the language and translate the speech into Mandarin: <|en|>"]


def test_shorter_windows_give_shorter_segments(noise: Noise):
    engine = Scripted(*"abcdefgh")
    result = Assistant(engine).transcribe((noise(40), 16000), window_s=10, voice=None)
    assert 4 < len(result.segments) <= 8
    assert max(segment.end_s - segment.start_s for segment in result.segments) <= 10


def test_one_window_cut_off_makes_the_result_cut_off(noise: Noise):
    engine = Scripted("a", "b", "c", reasons=("stop", "length", "stop"))
    assert Assistant(engine).transcribe((noise(65), 16000), voice=None).finish_reason == "length"
    assert Assistant(Scripted("a", "b", "c")).transcribe((noise(65), 16000), voice=None).finish_reason == "stop"


def test_a_looping_window_is_tried_again(noise: Noise):
    loop = "again and again " * 30
    engine = Scripted("one", loop, "two", reasons=("stop", "length", "stop"), batch_size=8)
    result = Assistant(engine).transcribe((noise(40), 16000), voice=None)
    assert result.text == "one two"
    assert [segment.temperature for segment in result.segments] == [0.0, 0.2]
    assert result.finish_reason == "stop"


def test_without_fallback_a_loop_is_said_once(noise: Noise):
    engine = Scripted("so it goes " * 30, reasons=("length",))
    result = Assistant(engine).transcribe((noise(5), 16000), fallback=NO_FALLBACK, voice=None)
    assert result.text == "so it goes"
    assert result.finish_reason == "length"
    assert result.segments[0].compression_ratio > 5


def test_greedy_unless_stated_whatever_the_model_prefers(noise: Noise):
    engine = Scripted("a", "b")
    Assistant(engine).transcribe((noise(1), 16000), voice=None)
    stated = Sampling(temperature=0.7, top_p=0.5, max_new_tokens=3, seed=1)
    Assistant(engine).transcribe((noise(1), 16000), sampling=stated, voice=None)
    assert engine.samplings == [Sampling(), stated]


def test_paths_are_reported_bytes_and_arrays_are_not(recordings: list[Path]):
    path = recordings[0]
    results = Assistant(Scripted(*"abc")).transcribe([path, str(path), path.read_bytes()], voice=None)
    assert [result.path for result in results] == [str(path), str(path), None]


@pytest.mark.parametrize("batch_size", [1, 8])
def test_a_bad_recording_costs_no_earlier_result(batch_size: int, tmp_path: Path, recordings: list[Path]):
    files = [*recordings[:2], tmp_path / "missing.wav", recordings[2]]
    results = Assistant(Scripted(*"abcd", batch_size=batch_size)).transcribe_each(files, voice=None)
    assert [next(results).text, next(results).text] == ["a", "b"]
    with pytest.raises(UserError, match=r"no such file: .*missing\.wav"):
        next(results)


@pytest.mark.parametrize("batch_size", [1, 8])
def test_with_a_watch_the_recordings_after_a_bad_one_go_on(batch_size: int, tmp_path: Path, recordings: list[Path]):
    refused: list[tuple[str | None, str]] = []
    segments: list[tuple[str | None, Segment]] = []
    watch = Watch(
        segment=lambda path, segment: segments.append((path, segment)),
        refused=lambda path, error: refused.append((path, str(error))),
    )
    missing = tmp_path / "missing.wav"
    files = [*recordings[:2], missing, recordings[2]]
    results = Assistant(Scripted(*"abc", batch_size=batch_size)).transcribe_each(files, watch=watch, voice=None)
    assert [result.text for result in results] == ["a", "b", "c"]
    assert [path for path, _ in refused] == [str(missing)]
    assert "no such file" in refused[0][1]
    assert [(path, segment.text) for path, segment in segments] == list(zip(map(str, recordings), "abc", strict=True))


def test_results_come_before_later_recordings_are_read(noise: Noise):
    read: list[int] = []

    def many() -> Iterator[tuple[np.ndarray, int]]:
        for index in range(3):
            read.append(index)
            yield noise(29), 16000

    results = Assistant(Scripted(*"abc", batch_size=1)).transcribe_each(many(), voice=None)
    assert next(results).text == "a"
    assert len(read) < 3


def test_few_windows_are_held_at_a_time(noise: Noise):
    """An engine that reads all it gets is handed two batches of 30 s windows, however long the recording is."""
    engine = Scripted(*"abcdefghijkl", batch_size=2)
    handed: list[float] = []
    generate = engine.generate

    def counting(requests, sampling):
        requests = list(requests)
        handed.append(sum(request.audios[0].duration_s for request in requests))
        return generate(requests, sampling)

    engine.generate = counting
    Assistant(engine).transcribe((noise(300), 16000), voice=None)
    assert sum(handed) == pytest.approx(300)
    assert max(handed) < (2 * engine.batch_size + 1) * 30
    assert len(handed) < 300 / 30


def test_a_waveform_is_heard_as_it_is(noise: Noise):
    engine = Scripted("a")
    samples = noise(1)
    Assistant(engine).transcribe((samples, 16000), voice=None)
    assert isinstance(engine.requests[0].audios[0], Waveform)
    np.testing.assert_array_equal(engine.requests[0].audios[0].samples, samples)
