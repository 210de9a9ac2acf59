"""Examples to what the model learns from: as the engine hears and reads them, and bounded before."""

import math
import pickle
import wave
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from auricle import units
from auricle.audio import Waveform, cut_windows
from auricle.conversation import Audio, Message, RawPrompt
from auricle.data import Example, Recording, make_pack
from auricle.data.augment import Augmenter
from auricle.data.durations import duration_s, most_samples, most_tokens
from auricle.data.hear import Hearing
from auricle.data.settings import AugmentSettings
from auricle.engines.interface import Request
from auricle.engines.native import NativeEngine
from auricle.errors import UserError
from auricle.text import Tokenizer

RATE = 16_000
ALWAYS = AugmentSettings(
    chance=1.0, noise_chance=1.0, speed_chance=1.0, room_chance=0.5, telephone_chance=0.5, mask_chance=1.0
)
TELL = (Message("user", (Audio(), "What is said?")), Message("assistant", ("A tone.",)))


@pytest.fixture(scope="module")
def write(tmp_path_factory, encode_audio) -> Callable[..., Recording]:
    """A recording of made sound in a file."""
    directory = tmp_path_factory.mktemp("heard")

    def make(samples: np.ndarray, *, stated_s: float | None = None) -> Recording:
        path = directory / f"{len(list(directory.iterdir()))}.wav"
        path.write_bytes(encode_audio(samples[None], container="wav", codec="pcm_f32le", rate=RATE))
        return Recording(path, duration_s=stated_s)

    return make


def example(*recordings: Recording, prompt=TELL, answer=None, **more) -> Example:
    return Example(prompt, answer, recordings, **({"where": "lines.jsonl:7", "source": "tones", "task": "asr"} | more))


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.fixture(scope="module")
def hearing(tokenizer: Tokenizer) -> Hearing:
    return Hearing(tokenizer, num_mel_bins=16)


@pytest.mark.parametrize("lengths_s", [(1.0,), (0.7, 2.5), (41.0, 0.3)])
def test_a_conversation_is_what_the_engine_is_asked_and_then_the_answer(checkpoint, write, noise, lengths_s):
    recordings = tuple(write(noise(length_s, seed=number)) for number, length_s in enumerate(lengths_s))
    question = Message("user", tuple(part for _ in recordings for part in (Audio(), "What is said?")))
    answer = "The quick brown fox."
    [(prepared, label)] = Hearing(checkpoint.tokenizer, num_mel_bins=16).hear(
        (example(*recordings, prompt=(question, Message("assistant", (answer,)))),), rng()
    )
    request = Request((question,), tuple(recording.load() for recording in recordings))
    asked = NativeEngine(checkpoint)._prepare(request, 1)

    said = [*checkpoint.tokenizer.encode(answer), checkpoint.tokenizer.special("<|im_end|>")]
    end = len(asked.prompt.ids) + len(said)
    assert prepared.prompt.ids == (*asked.prompt.ids, *said, *checkpoint.tokenizer.encode("\n"))
    assert [place for place, counts in enumerate(prepared.prompt.loss) if counts] == list(range(end - len(said), end))
    assert len(prepared.mels) == len(asked.mels) >= len(recordings)
    for ours, theirs in zip(prepared.mels, asked.mels, strict=True):
        assert torch.equal(ours.features, theirs.features)
        assert ours.num_frames == theirs.num_frames
    assert (label.where, label.source, label.task, label.key) == ("lines.jsonl:7", "tones", "asr", "")


@pytest.mark.parametrize("end", ["<|im_end|>", "<|endoftext|>"])
def test_a_raw_prompt_is_what_the_engine_is_asked_and_then_the_answer_and_its_end(checkpoint, write, noise, end):
    recording = write(noise(1.3))
    prompt = RawPrompt((Audio(), "Detect the language and recognize the speech:"))
    tokenizer = checkpoint.tokenizer
    end_id = None if end == "<|im_end|>" else tokenizer.special(end)
    hearing = Hearing(tokenizer, num_mel_bins=16, end_id=end_id)
    [(prepared, _)] = hearing.hear((example(recording, prompt=prompt, answer=" again"),), rng())
    asked = NativeEngine(checkpoint)._prepare(Request(prompt, (recording.load(),)), 1)
    assert prepared.prompt.ids == (*asked.prompt.ids, *tokenizer.encode(" again"), tokenizer.special(end))
    assert prepared.prompt.loss == (False,) * len(asked.prompt.ids) + (True,) * (len(tokenizer.encode(" again")) + 1)
    assert torch.equal(prepared.mels[0].features, asked.mels[0].features)


def test_only_the_answers_that_count_are_learnt(hearing, tokenizer):
    turns = [
        ("user", "One?"),
        ("assistant", "First."),
        ("assistant", "Second."),
        ("user", "And?"),
        ("assistant", "Third."),
    ]
    prompt = tuple(Message(role, (text,)) for role, text in turns)

    def learnt(supervised: tuple[bool, ...] | None) -> str:
        [(prepared, _)] = hearing.hear((example(prompt=prompt, supervised=supervised),), rng())
        ids = [token for token, counts in zip(prepared.prompt.ids, prepared.prompt.loss, strict=True) if counts]
        assert ids.count(tokenizer.special("<|im_end|>")) == (3 if supervised is None else sum(supervised))
        return tokenizer.decode(ids)

    assert learnt(None) == "First.Second.Third."
    assert learnt((True, False, True)) == "First.Third."
    assert learnt((False, True, False)) == "Second."
    for wrong in ((True, False), (True,) * 4):
        with pytest.raises(UserError, match=rf"lines.jsonl:7: {len(wrong)} marks for 3 answers: expected one for each"):
            learnt(wrong)
    with pytest.raises(UserError, match=r"lines\.jsonl:7: nothing to learn: got no answer that counts in the loss"):
        learnt((False, False, False))
    with pytest.raises(UserError, match="nothing to learn"):
        hearing.hear((example(prompt=prompt[:1]),), rng())


def test_a_recording_that_a_group_shares_is_heard_once(tokenizer, write, noise, monkeypatch):
    loaded = []
    monkeypatch.setattr(Recording, "load", lambda self, load=Recording.load: loaded.append(self.path) or load(self))
    shared, other = write(noise(1.0)), write(noise(1.0, seed=1))
    chosen = example(shared, shared, prompt=(Message("user", (Audio(), Audio())), TELL[1]))
    rejected = example(
        replace(shared), other, prompt=(Message("user", (Audio(), Audio())), Message("assistant", ("No.",)))
    )
    hearing = Hearing(tokenizer, num_mel_bins=16, augmenter=Augmenter.of(ALWAYS))
    sequences = hearing.hear((chosen, rejected), rng())
    assert loaded == [shared.path, other.path]
    mels = [mel for prepared, _ in sequences for mel in prepared.mels]
    assert mels[0] is mels[1] is mels[2]
    assert mels[3] is not mels[0]
    assert make_pack(sequences).inputs.heard == (0, 0, 0, 1)


def test_the_draw_decides_every_byte_also_in_another_process(tokenizer, write, noise):
    group = (example(write(noise(1.5))),)
    hearing = Hearing(tokenizer, num_mel_bins=16, augmenter=Augmenter.of(ALWAYS), needs_keys=True)
    elsewhere = pickle.loads(pickle.dumps(hearing))

    def key(hearing: Hearing, seed: int) -> str:
        return hearing.hear(group, rng(seed))[0][1].key

    assert key(hearing, 1) == key(hearing, 1) == key(elsewhere, 1)
    assert key(hearing, 1) != key(hearing, 2)
    assert elsewhere.measure(group) == hearing.measure(group)


def test_a_key_changes_with_the_words_the_sound_and_what_is_learnt_and_with_nothing_else(tokenizer, write, noise):
    hearing = Hearing(tokenizer, num_mel_bins=16, needs_keys=True)
    sound = noise(1.0)
    first = example(write(sound))

    def key(example: Example) -> str:
        return hearing.hear((example,), rng())[0][1].key

    two = (*TELL, Message("user", ("And?",)), Message("assistant", ("No.",)))
    changed = sound.copy()
    changed[8000] += 0.01
    others = [
        example(write(changed)),
        example(first.recordings[0], prompt=(TELL[0], Message("assistant", ("A tune.",)))),
        example(first.recordings[0], prompt=two),
        example(first.recordings[0], prompt=two, supervised=(True, False)),
    ]
    keys = [key(first), *map(key, others)]
    assert len(set(keys)) == len(keys)
    assert all(len(digest) == 64 for digest in keys)
    assert key(example(write(sound), where="elsewhere:1", source="b", task="c")) == keys[0]


@given(
    seed=st.integers(0, 2**32),
    lengths=st.lists(st.integers(400, 2 * 16000), min_size=1, max_size=3),
    rounding=st.sampled_from([None, 1, 2, 3]),
)
def test_a_measure_bounds_what_is_heard_and_is_not_far_above_it(
    tmp_path_factory, tokenizer, noise, seed, lengths, rounding
):
    recordings = []
    for number, length in enumerate(lengths):
        path = tmp_path_factory.mktemp("random") / f"{number}.f32.wav"
        write_wav(path, noise(length / RATE, seed=number))
        stated = None if rounding is None else round(length / RATE, rounding)
        recordings.append(Recording(path, duration_s=stated))
    prompt = (Message("user", (*[Audio() for _ in recordings], "What is said? Who speaks?")), TELL[1])
    group = (example(*recordings, prompt=prompt),)
    hearing = Hearing(tokenizer, num_mel_bins=16, augmenter=Augmenter.of(ALWAYS))
    [(prepared, _)] = hearing.hear(group, rng(seed))
    assert len(prepared.prompt.ids) <= hearing.measure(group)

    as_it_is = Hearing(tokenizer, num_mel_bins=16)
    [(prepared, _)] = as_it_is.hear(group, rng(seed))
    most = as_it_is.measure(group)
    assert len(prepared.prompt.ids) <= most <= 1.15 * len(prepared.prompt.ids)
    assert hearing.measure(group) >= most


def write_wav(path: Path, samples: np.ndarray) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(np.round(samples * 32767).astype("<i2").tobytes())


def test_the_slowest_speed_of_a_long_recording_is_within_its_measure(tokenizer, write, noise):
    recording = write(noise(33.0))
    settings = replace(ALWAYS, noise_chance=0.0, room_chance=0.0, speed=(0.9, 0.9))
    hearing = Hearing(tokenizer, num_mel_bins=16, augmenter=Augmenter.of(settings))
    [(prepared, _)] = hearing.hear((example(recording),), rng())
    assert len(prepared.mels) == 2
    most, taken = hearing.measure((example(recording),)), len(prepared.prompt.ids)
    assert taken <= most <= 1.02 * taken
    assert taken > Hearing(tokenizer, num_mel_bins=16).measure((example(recording),))  # without the speed, too little


def test_over_many_draws_a_measure_is_little_more_than_what_is_heard(tokenizer, write, noise):
    group = tuple(example(write(noise(length_s, seed=7))) for length_s in (2.0, 5.0, 9.0))
    hearing = Hearing(tokenizer, num_mel_bins=16, augmenter=Augmenter.of(AugmentSettings(chance=1.0)))
    heard = [sum(len(prepared.prompt.ids) for prepared, _ in hearing.hear(group, rng(seed))) for seed in range(12)]
    assert len(set(heard)) > 6
    assert max(heard) <= hearing.measure(group) <= 1.15 * np.mean(heard)


@given(st.integers(401, 200 * RATE), st.integers(0, 2**32))
def test_the_most_tokens_hold_wherever_the_windows_are_cut(num_samples, seed):
    generator = rng(seed)
    quiet = np.ones(num_samples, np.float32)
    for start in generator.integers(num_samples, size=200):
        quiet[start : start + 1600] = generator.random()  # random places to cut
    windows = cut_windows(Waveform(quiet))
    tokens = sum(units.tokens_from_frames(units.frames_from_samples(len(window.samples))) for window in windows)
    most = most_tokens(num_samples)
    assert tokens <= most <= tokens + 1 + math.ceil(num_samples / (24 * RATE))
    assert most_tokens(num_samples - 1) <= most


@pytest.mark.parametrize("num_windows", [2, 3, 5, 11])
def test_the_most_tokens_hold_for_the_shortest_windows_all_rounded_up(num_windows):
    window = 640 * 601 - 319  # 24 s, half a token short of 601
    assert units.tokens_from_frames(units.frames_from_samples(window)) == 601
    assert num_windows * 601 <= most_tokens(num_windows * window)


def test_a_group_is_measured_as_a_whole(hearing, write, noise):
    one = example(write(noise(1.0)))
    assert hearing.measure((one, one)) == 2 * hearing.measure((one,))
    text = example(prompt=(Message("user", ("Hello.",)), Message("assistant", ("Hello.",))))
    assert hearing.measure((text,)) == len(hearing.hear((text,), rng())[0][0].prompt.ids)
    raw = example(one.recordings[0], prompt=RawPrompt((Audio(), "What?")), answer="An answer of some length.")
    assert hearing.measure((raw,)) > hearing.measure((replace(raw, answer="No."),))


def test_a_recording_longer_than_stated_is_refused_with_both_numbers(hearing, write, noise):
    sound = noise(2.0)
    hearing.hear((example(write(sound, stated_s=1.96)),), rng())  # rounding is forgiven
    with pytest.raises(UserError, match=r"wav is longer than stated: got 2.00 s, expected at most 1.55 s"):
        hearing.hear((example(write(sound, stated_s=1.5)),), rng())


def test_what_cannot_be_heard_is_told_with_its_place(hearing, tmp_path, write, noise):
    missing = Recording(tmp_path / "none.wav", duration_s=1.0)
    with pytest.raises(UserError, match=r"^lines\.jsonl:7: no such file: .*none\.wav"):
        hearing.hear((example(missing),), rng())
    with pytest.raises(UserError, match=r"^lines\.jsonl:7: no such file: .*none\.wav"):
        hearing.measure((example(replace(missing, duration_s=None)),))
    in_shard = Recording(tmp_path / "none.tar", 512, 1000)
    for call in (hearing.measure, lambda group: hearing.hear(group, rng())):
        with pytest.raises(
            UserError, match=r"^lines\.jsonl:7: cannot read .*none\.tar: No such file .*; check the path"
        ):
            call((example(in_shard),))
    for call in (hearing.measure, lambda group: hearing.hear(group, rng())):
        with pytest.raises(UserError, match=r"7: the conversation has places for 1 recordings but 0 were given"):
            call((example(),))
        with pytest.raises(UserError, match=r"7: the conversation has places for 1 recordings but 2 were given"):
            call((example(*[write(noise(0.5))] * 2),))
    with pytest.raises(ValueError, match="a conversation holds its answers"):
        hearing.measure((example(write(noise(0.5)), answer="beside"),))


@pytest.mark.parametrize(
    ("container", "codec", "rate"),
    [
        ("wav", "pcm_s16le", 44100),
        ("flac", "flac", 16000),
        ("mp3", "libmp3lame", 44100),
        ("ogg", "libopus", 48000),
        ("webm", "libopus", 48000),
        ("mp4", "aac", 22050),
        ("adts", "aac", 22050),
        ("aiff", "pcm_s16be", 8000),
    ],
)
def test_a_header_tells_the_length_without_decoding(tmp_path, encode_audio, sine, monkeypatch, container, codec, rate):
    path = tmp_path / f"sound.{container}"
    path.write_bytes(encode_audio(sine(3.0, rate=rate)[None], container=container, codec=codec, rate=rate))
    recording = Recording(path)
    actual = len(recording.load().samples)
    monkeypatch.setattr(Recording, "load", lambda self: pytest.fail("decoded"))
    assert actual <= most_samples(recording) <= 1.1 * actual
    shard = tmp_path / "shard.tar"
    shard.write_bytes(b"x" * 512 + path.read_bytes() + b"y" * 512)
    member = Recording(shard, 512, path.stat().st_size)
    assert duration_s(member) == pytest.approx(duration_s(recording), abs=0.02)


def test_a_recording_without_a_stated_length_is_counted(tmp_path, encode_audio, sine):
    whole = bytearray(encode_audio(sine(2.0)[None], container="flac", codec="flac", rate=RATE))
    whole[21] &= 0xF0  # the number of samples: 36 bits of STREAMINFO, 0 where a stream was written as it came
    whole[22:26] = bytes(4)
    path = tmp_path / "live.flac"
    path.write_bytes(whole)
    assert duration_s(Recording(path)) == 2.0
