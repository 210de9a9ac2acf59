"""transformers behind our prompts: what our own engine says, setting by setting, on a tiny random model."""

import json
import shutil
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from auricle.audio import Waveform
from auricle.conversation import Answer, Audio, Message, RawPrompt, Sampling
from auricle.engines import Engine, NativeEngine, Request
from auricle.engines.transformers import TransformersEngine
from auricle.errors import UserError
from auricle.model import Qwen2Audio
from auricle.weights import read_checkpoint

Noise = Callable[..., np.ndarray]
CPU = torch.device("cpu")
GREEDY = Sampling(max_new_tokens=12)
SETTINGS = {
    "penalty": replace(GREEDY, repetition_penalty=1.3),
    "reward": replace(GREEDY, repetition_penalty=0.2),
    "minimum": replace(GREEDY, min_new_tokens=9),
    "beams": replace(GREEDY, num_beams=3),
    "short beams": replace(GREEDY, num_beams=3, length_penalty=-3.0),
    "beams with a penalty": replace(GREEDY, num_beams=3, repetition_penalty=1.4),
}
WITHOUT = {"short beams": SETTINGS["beams"], "beams with a penalty": SETTINGS["beams"]}  # the others: greedy


@pytest.fixture(scope="module")
def requests(noise: Noise) -> list[Request]:
    def hear(text: str, *durations_s: float) -> Request:
        audios = tuple(Waveform(noise(duration_s, seed=index)) for index, duration_s in enumerate(durations_s))
        return Request((Message("user", (*[Audio()] * len(audios), text)),), audios)

    return [
        hear("What is said?", 0.3),
        hear("Who speaks?"),
        Request(RawPrompt((Audio(), "Detect the language:")), (Waveform(noise(0.4)),)),
        Request(RawPrompt(("recognize the speech:",))),
        hear("Which mood?", 0.2, 0.5),
    ]


@pytest.fixture(scope="module")
def directory(checkpoint_dir: Path, requests: list[Request], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that ends some of its answers: a word that it says in the middle of one is one more stop token."""
    directory = tmp_path_factory.mktemp("ending") / "tiny"
    shutil.copytree(checkpoint_dir, directory)
    checkpoint = read_checkpoint(checkpoint_dir, dtype=torch.float32, device=CPU)
    answers = NativeEngine(checkpoint).generate(requests, replace(GREEDY, logprobs=0))
    words = (token.text for answer in answers for token in answer.tokens[3:8])
    ids = checkpoint.tokenizer.encode(next(word for word in words if word.strip().isalpha() and word.isascii()))
    assert len(ids) == 1
    generation = json.loads((directory / "generation_config.json").read_text())
    generation["eos_token_id"] += ids
    (directory / "generation_config.json").write_text(json.dumps(generation))
    return directory


@pytest.fixture(scope="module")
def theirs(directory: Path) -> TransformersEngine:
    return TransformersEngine(directory, dtype=torch.float32, device=CPU, batch_size=5)


@pytest.fixture(scope="module")
def ours(directory: Path) -> NativeEngine:
    return NativeEngine(read_checkpoint(directory, dtype=torch.float32, device=CPU))


def same(one: Answer, other: Answer) -> None:
    assert replace(one, logprob=0.0, tokens=()) == replace(other, logprob=0.0, tokens=())
    assert one.logprob == pytest.approx(other.logprob, abs=1e-4 * (one.num_tokens + 1))


def all_same(one: Engine, other: Engine, requests: list[Request], sampling: Sampling) -> list[Answer]:
    answers = list(one.generate(requests, sampling))
    for answer, expected in zip(answers, other.generate(requests, sampling), strict=True):
        same(answer, expected)
    return answers


def heard_once(requests: list[Request], sampling: Sampling) -> list[Request]:
    return [request for request in requests if sampling.num_beams == 1 or len(request.audios) < 2]


def test_greedy_answers_are_ours(theirs: TransformersEngine, ours: NativeEngine, requests: list[Request]):
    answers = all_same(theirs, ours, requests, GREEDY)
    assert len({answer.text for answer in answers}) == len(requests)
    assert {answer.finish_reason for answer in answers} == {"stop", "length"}
    assert theirs.defaults == ours.defaults


@pytest.mark.parametrize("name", SETTINGS)
def test_every_setting_means_the_same(
    name: str, theirs: TransformersEngine, ours: NativeEngine, requests: list[Request]
):
    sampling = SETTINGS[name]
    requests = heard_once(requests, sampling)
    answers = all_same(theirs, ours, requests, sampling)
    plain = WITHOUT.get(name, GREEDY)
    assert [answer.text for answer in answers] != [answer.text for answer in ours.generate(requests, plain)]


def test_stop_texts(theirs: TransformersEngine, ours: NativeEngine, requests: list[Request]):
    free = [answer.text for answer in ours.generate(requests, GREEDY)]
    stop = tuple(text[4:6] for text in free if len(text) > 6 and "\ufffd" not in text[4:6])
    assert stop
    answers = all_same(theirs, ours, requests, replace(GREEDY, stop=stop))
    assert sum(len(answer.text) < len(text) for answer, text in zip(answers, free, strict=True)) >= len(stop)
    all_same(theirs, ours, requests, replace(GREEDY, stop=stop, min_new_tokens=12))


def test_stop_texts_of_beams(theirs: TransformersEngine, ours: NativeEngine, requests: list[Request]):
    """A beam that has said one competes at that length, as one that has said a stop token does."""
    once, changed = requests[:-1], 0
    for num_beams in (2, 3, 4):
        beams = replace(GREEDY, num_beams=num_beams, length_penalty=-3.0)
        free = [answer.text for answer in ours.generate(once, beams)]
        answers = all_same(theirs, ours, once, replace(beams, stop=tuple("aeiou%'")))
        changed += sum(not text.startswith(answer.text) for text, answer in zip(free, answers, strict=True))
    assert changed  # it is no mere cut of the answer without stop texts


def test_padding_is_nothing_that_a_penalty_could_hear(
    theirs: TransformersEngine, requests: list[Request], monkeypatch: pytest.MonkeyPatch
):
    """transformers penalises whatever stands in input_ids, masked or not."""
    seen: list[dict[str, torch.Tensor]] = []
    generate = theirs._model.generate
    monkeypatch.setattr(theirs._model, "generate", lambda **inputs: (seen.append(inputs), generate(**inputs))[1])
    list(theirs.generate(requests, GREEDY))
    [inputs] = seen
    assert not inputs["attention_mask"].all()
    for ids, mask in zip(inputs["input_ids"], inputs["attention_mask"].bool(), strict=True):
        assert set(ids[~mask].tolist()) <= set(ids[mask].tolist())


@pytest.mark.parametrize("num", [0, 3])
def test_log_probabilities(num: int, theirs: TransformersEngine, ours: NativeEngine, requests: list[Request]):
    sampling = replace(GREEDY, logprobs=num, repetition_penalty=1.3)
    for answer, expected in zip(theirs.generate(requests, sampling), ours.generate(requests, sampling), strict=True):
        assert [token.text for token in answer.tokens] == [token.text for token in expected.tokens]
        for token, other in zip(answer.tokens, expected.tokens, strict=True):
            assert token.logprob == pytest.approx(other.logprob, abs=1e-4)
            assert [text for text, _ in token.top] == [text for text, _ in other.top]
            assert [value for _, value in token.top] == pytest.approx([value for _, value in other.top], abs=1e-4)
            assert len(token.top) == num
    assert not next(theirs.generate(requests, GREEDY)).tokens


@pytest.mark.parametrize("sampling", [GREEDY, *SETTINGS.values(), replace(GREEDY, temperature=1.0, seed=7)])
def test_a_batch_never_changes_an_answer(sampling: Sampling, theirs: TransformersEngine, requests: list[Request]):
    requests = heard_once(requests, sampling)
    together = list(theirs.generate(requests, sampling))
    theirs.batch_size = 2
    try:
        for answer, expected in zip(theirs.generate(requests, sampling), together, strict=True):
            same(answer, expected)
    finally:
        theirs.batch_size = 5


@pytest.mark.parametrize("sampling", [GREEDY, SETTINGS["penalty"], SETTINGS["beams"], replace(GREEDY, stop=("e",))])
def test_streamed_pieces_joined_are_the_answer(sampling: Sampling, theirs: TransformersEngine, requests: list[Request]):
    requests = heard_once(requests, sampling)
    for request, answer in zip(requests, theirs.generate(requests, sampling), strict=True):
        pieces = list(theirs.stream(request, sampling))
        assert "".join(pieces) == answer.text
        assert all(pieces)
        assert sampling.num_beams > 1 or len(pieces) > 1 or answer.num_tokens <= 3  # half characters come together


def test_a_stream_that_nobody_reads_on_ends(theirs: TransformersEngine, requests: list[Request]):
    before = threading.active_count()
    pieces = theirs.stream(requests[1], Sampling(max_new_tokens=3000))
    next(pieces)
    assert threading.active_count() == before + 1
    pieces.close()  # type: ignore[attr-defined]
    assert threading.active_count() == before


def test_what_breaks_in_the_thread_is_raised(
    theirs: TransformersEngine, requests: list[Request], monkeypatch: pytest.MonkeyPatch
):
    def broken(**_: object) -> None:
        raise RuntimeError("no memory")

    monkeypatch.setattr(theirs._model, "generate", broken)
    with pytest.raises(RuntimeError, match="no memory"):
        list(theirs.stream(requests[0], GREEDY))


@pytest.mark.parametrize(
    "only", [{"top_k": 1}, {"top_p": 1e-6}, {"min_p": 0.999}, {"temperature": 1e-4}], ids=lambda only: next(iter(only))
)
def test_a_draw_among_one_is_greedy(only: dict[str, float], theirs: TransformersEngine, requests: list[Request]):
    drawn = replace(GREEDY, **({"temperature": 1.0} | only))
    texts = [answer.text for answer in theirs.generate(requests, GREEDY)]
    assert [answer.text for answer in theirs.generate(requests, drawn)] == texts
    free = replace(GREEDY, temperature=1.0, seed=1)
    assert [answer.text for answer in theirs.generate(requests, free)] != texts


def test_a_seed_repeats_a_draw_and_leaves_torch_alone(theirs: TransformersEngine, requests: list[Request]):
    def draw(seed: int | None) -> list[str]:
        return [a.text for a in theirs.generate([requests[1]] * 3, replace(GREEDY, temperature=1.5, seed=seed))]

    before = torch.get_rng_state()
    assert draw(1) == draw(1) != draw(2)
    assert draw(None) != draw(None)
    assert len(set(draw(1))) == 3  # the same question thrice: three draws
    assert torch.equal(torch.get_rng_state(), before)


def test_a_long_recording_is_one_span_of_all_its_windows(theirs: TransformersEngine, ours: NativeEngine, noise: Noise):
    long = Waveform(noise(40))
    request = Request((Message("user", (Audio(), "What is said?")),), (long,))
    brief = Sampling(max_new_tokens=4)
    all_same(theirs, ours, [request], brief)
    cut = replace(request, audios=(Waveform(long.samples[: 30 * 16000]),))
    [whole], [start] = theirs.generate([request], brief), theirs.generate([cut], brief)
    assert whole.num_prompt_tokens > start.num_prompt_tokens + 240
    with pytest.raises(UserError, match="mixes up a request's recordings in a beam search: got 2 windows"):
        next(theirs.generate([request], replace(brief, num_beams=2)))


def test_scores_are_ours(theirs: TransformersEngine, ours: NativeEngine, requests: list[Request]):
    texts = ["Paris", "The quick brown fox", "", "a", "again and again", "What?"]
    for request in requests:
        scores = theirs.score(request, texts)
        assert scores == pytest.approx(ours.score(request, texts), abs=1e-3)
        assert scores[2] == 0
        assert len(set(scores)) == len(texts)
    assert theirs.score(requests[0], []) == []


def test_the_directorys_generation_config_has_no_say(
    directory: Path, ours: NativeEngine, requests: list[Request], tmp_path: Path
):
    hostile = tmp_path / "hostile"
    shutil.copytree(directory, hostile)
    generation = json.loads((hostile / "generation_config.json").read_text())
    generation |= {"repetition_penalty": 1.9, "min_new_tokens": 12, "no_repeat_ngram_size": 1}
    generation |= {"do_sample": True, "temperature": 3.0, "top_k": 1, "max_length": 7}
    (hostile / "generation_config.json").write_text(json.dumps(generation))
    engine = TransformersEngine(hostile, dtype=torch.float32, device=CPU)
    all_same(engine, ours, requests, GREEDY)
    assert (engine.defaults.repetition_penalty, engine.defaults.top_k) == (1.9, 1)


def test_answers_before_a_refused_request_come_first(theirs: TransformersEngine, requests: list[Request]):
    unplaced = Request((Message("user", (Audio(),)),))
    answers = theirs.generate([*requests[:2], unplaced], GREEDY)
    assert [next(answers).text, next(answers).text] == [a.text for a in theirs.generate(requests[:2], GREEDY)]
    with pytest.raises(UserError, match="places for 1 recordings but 0 were given"):
        next(answers)
    with pytest.raises(UserError, match="prompt too long"):
        next(theirs.generate(requests, Sampling(max_new_tokens=5000)))
    assert list(theirs.generate([], GREEDY)) == []


def test_a_schema_is_refused(theirs: TransformersEngine, requests: list[Request]):
    schema = replace(GREEDY, json_schema="{}")
    for answers in (lambda: next(theirs.generate(requests, schema)), lambda: theirs.stream(requests[0], schema)):
        with pytest.raises(UserError, match="engine transformers cannot hold an answer to a JSON schema; use engine"):
            answers()


def test_requests_are_read_a_batch_at_a_time(theirs: TransformersEngine, requests: list[Request]):
    read: list[int] = []

    def reading() -> Iterator[Request]:
        for index in range(12):
            read.append(index)
            yield requests[3]

    answers = theirs.generate(reading(), replace(GREEDY, max_new_tokens=1))
    next(answers)
    assert read == [0, 1, 2, 3, 4]


def test_bfloat16(directory: Path, requests: list[Request]):
    engine = TransformersEngine(directory, dtype=torch.bfloat16, device=CPU)
    assert {parameter.dtype for parameter in engine._model.parameters()} == {torch.bfloat16}
    assert len({answer.text for answer in engine.generate(requests, SETTINGS["minimum"])}) == len(requests)


def test_a_tied_checkpoint_is_refused(
    tiny_model: Callable[..., Qwen2Audio], write_checkpoint: Callable[[Qwen2Audio, Path], Path], tmp_path: Path
):
    """transformers would draw its head at random."""
    tied = write_checkpoint(tiny_model(tied_head=True), tmp_path / "tied")
    with pytest.raises(UserError, match=r"transformers finds no .*lm_head.* expected a plain checkpoint"):
        TransformersEngine(tied, dtype=torch.float32, device=CPU)


def test_without_the_library(directory: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(UserError, match=r"run `pip install 'auricle\[transformers\]'`"):
        TransformersEngine(directory, dtype=torch.float32, device=CPU)
