"""Held-out loss, alignment probe and answers of a model in training, and that looking changes nothing."""

import hashlib
import json
import math
import pickle
import random
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from auricle import units
from auricle.audio import cut_windows, log_mel
from auricle.content_cache import ContentCache
from auricle.conversation import Audio, Message, RawPrompt
from auricle.data import Example, Group, Label, Pack, Recording
from auricle.data.source import Hear
from auricle.errors import UserError
from auricle.extend import recompute
from auricle.model import Qwen2Audio
from auricle.prepare import Prepared, render, render_raw
from auricle.text import Tokenizer
from auricle.train.dpo import DpoObjective
from auricle.train.objective import CrossEntropy
from auricle.train.probes import make_probes
from auricle.train.reference import Reference
from auricle.train.trainee import Trainee
from auricle.train.watch import Seen, Watch
from auricle.weights import Checkpoint

WORDS = ("quick brown", "lazy dog", "again fox", "jumps over")
MEL_BINS = 16


def hearing(tokenizer: Tokenizer) -> Hear:
    """The real path from a file to ids and mels, without augmentation."""

    def hear(group: Group, rng: np.random.Generator) -> Sequence[tuple[Prepared, Label]]:
        mels = {
            recording: [log_mel(window, num_mel_bins=MEL_BINS) for window in cut_windows(recording.load())]
            for example in group
            for recording in example.recordings
        }
        heard = []
        for example in group:
            mine = [mels[recording] for recording in example.recordings]
            counts = [sum(units.tokens_from_frames(mel.num_frames) for mel in each) for each in mine]
            if isinstance(example.prompt, RawPrompt):
                prompt = render_raw(example.prompt, counts, tokenizer, answer=example.answer)
            else:
                prompt = render(example.prompt, counts, tokenizer, open_turn=False)
            sounds = [mel.features.numpy().tobytes() for each in mine for mel in each]
            key = hashlib.sha256(repr((prompt.ids, sounds)).encode()).hexdigest()
            label = Label(example.where, example.source, example.task, key)
            heard.append((Prepared(prompt, tuple(mel for each in mine for mel in each)), label))
        return heard

    return hear


def measure(group: Group) -> int:
    """A bound that is never reached by what is heard here."""
    return 400 * len(group)


def heard_packs(groups: Sequence[Group], tokenizer: Tokenizer, pack_tokens: int) -> tuple[Pack, ...]:
    made = make_probes(groups, measure, hearing(tokenizer), pack_tokens=pack_tokens, seed=0)
    return (*made.heard, *made.text)


def transcript(recording: Recording, text: str, task: str = "asr") -> Group:
    prompt = RawPrompt((Audio(), "What is said?"))
    return (Example(prompt, text, (recording,), f"made: {text} {recording.path.name}", "made", task),)


def pair(recording: Recording, chosen: str, rejected: str) -> Group:
    asked = (Message("user", (Audio(), "What is said?")),)
    return tuple(
        Example((*asked, Message("assistant", (said,))), None, (recording,), f"made: {chosen}", "made", "factual")
        for said in (chosen, rejected)
    )


@pytest.fixture(scope="module")
def tones(
    tmp_path_factory: pytest.TempPathFactory, sine: Callable[..., np.ndarray], encode_audio: Callable[..., bytes]
) -> list[Recording]:
    """Four recordings of one length: only their pitch tells them apart."""
    folder = tmp_path_factory.mktemp("tones")
    made = []
    for hz in (300.0, 900.0, 2500.0, 5000.0):
        path = folder / f"{hz:.0f}.wav"
        path.write_bytes(encode_audio(sine(0.6, hz=hz)[None], container="wav", codec="pcm_s16le", rate=16000))
        made.append(Recording(path))
    return made


@pytest.fixture(scope="module")
def transcripts(tones: list[Recording]) -> list[Group]:
    return [transcript(tone, text) for tone, text in zip(tones, WORDS, strict=True)]


@pytest.fixture(scope="module")
def watch(transcripts: list[Group], checkpoint: Checkpoint) -> Callable[..., Watch]:
    def make(groups: Sequence[Group] = transcripts, objective: Any = None, **settings: Any) -> Watch:
        settings = {"num_answers": 0, "pack_tokens": 64, "hear": hearing(checkpoint.tokenizer)} | settings
        return Watch(groups, measure, settings.pop("hear"), objective or CrossEntropy(), checkpoint, **settings)

    return make


@pytest.fixture(scope="module")
def listener(tiny_model: Callable[..., Qwen2Audio], transcripts: list[Group], tokenizer: Tokenizer) -> Trainee:
    """A model that has learnt to tell the four tones apart, in a few seconds."""
    trainee = Trainee(tiny_model()).requires_grad_(True).train()
    [pack] = heard_packs(transcripts, tokenizer, 4096)
    optimizer = torch.optim.Adam(trainee.parameters(), lr=5e-3)
    for _ in range(150):
        optimizer.zero_grad()
        loss = trainee(pack).mean()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.02
    return trainee


def deaf(trainee: Trainee, tiny_model: Callable[..., Qwen2Audio]) -> Trainee:
    """The same model, to which every sound is the same."""
    model = tiny_model()
    model.load_state_dict(trainee.model.state_dict())
    model.multi_modal_projector.linear.weight.data.zero_()
    return Trainee(model)


def test_a_model_that_listens_has_a_gap_and_a_deaf_one_has_none(
    watch: Callable[..., Watch], listener: Trainee, tiny_model: Callable[..., Qwen2Audio]
) -> None:
    heard, nothing = watch()(listener).values, watch()(deaf(listener, tiny_model)).values
    assert heard["heldout/gap"] > 0.9
    assert heard["heldout/gap"] == 1 - heard["heldout/nll"] / heard["heldout/nll_other_audio"]
    assert nothing["heldout/gap"] == pytest.approx(0, abs=1e-6)
    assert nothing["heldout/nll"] > 10 * heard["heldout/nll"]


@pytest.mark.parametrize("pack_tokens", [1, 64, 4096])
def test_the_loss_is_the_mean_over_supervised_tokens_however_they_are_packed(
    watch: Callable[..., Watch],
    listener: Trainee,
    transcripts: list[Group],
    tokenizer: Tokenizer,
    pack_tokens: int,
) -> None:
    words = (Example(RawPrompt(("Who speaks?",)), "a dog", (), "made", "made", "text"),)
    values = watch([*transcripts, words], pack_tokens=pack_tokens)(listener).values
    sums = {}
    for task, groups in (("asr", transcripts), ("text", [words])):
        nll = torch.cat([listener(pack).detach() for group in groups for pack in heard_packs([group], tokenizer, 1)])
        sums[task] = nll.sum().item(), len(nll)
        assert values[f"heldout/loss/{task}"] == pytest.approx(nll.mean().item(), rel=1e-4)
    total, count = (sum(part) for part in zip(*sums.values(), strict=True))
    assert values["heldout/loss"] == pytest.approx(total / count, rel=1e-4)
    assert values["heldout/nll"] == pytest.approx(sums["asr"][0] / sums["asr"][1], rel=1e-4)  # of those that hear


def test_looking_changes_nothing(
    watch: Callable[..., Watch], tiny_model: Callable[..., Qwen2Audio], transcripts: list[Group], tokenizer: Tokenizer
) -> None:
    """Parameters, gradients, modes and every generator; the steps that follow are bitwise the same."""
    [pack] = heard_packs(transcripts, tokenizer, 4096)

    def train(look: bool) -> tuple[list[torch.Tensor], float]:
        torch.manual_seed(5)
        trainee = Trainee(tiny_model()).requires_grad_(True).train()
        trainee.model.audio_tower.requires_grad_(False).eval()  # modes and gradients of parts differ
        optimizer = torch.optim.Adam(trainee.parameters(), lr=1e-3)
        seen, looking = [], watch(num_answers=4)
        for _ in range(3):
            (trainee(pack) * torch.rand(len(pack.targets))).mean().backward()
            if look:
                seen.append(looking(trainee))
            optimizer.step()
            optimizer.zero_grad()
        assert not look or len(seen[0].answers) == 4
        assert trainee.model.language_model.training
        assert not trainee.model.audio_tower.training
        assert not trainee.model.audio_tower.conv1.weight.requires_grad
        return [weight.detach().clone() for weight in trainee.parameters()], torch.rand(1).item()

    state = random.getstate(), np.random.get_state()[1].tolist()
    (plain, draw), (watched, later) = train(False), train(True)
    assert (random.getstate(), np.random.get_state()[1].tolist()) == state
    assert draw == later
    assert all(torch.equal(left, right) for left, right in zip(plain, watched, strict=True))


def test_the_same_model_is_seen_the_same_twice(watch: Callable[..., Watch], listener: Trainee) -> None:
    looking = watch(num_answers=3)
    assert looking(listener) == looking(listener)


def test_everything_is_heard_once(watch: Callable[..., Watch], listener: Trainee, tokenizer: Tokenizer) -> None:
    calls = []
    hear = hearing(tokenizer)

    def counting(group: Group, rng: np.random.Generator) -> Sequence[tuple[Prepared, Label]]:
        calls.append(group)
        return hear(group, rng)

    looking = watch(hear=counting)
    looking(listener)
    looking(listener)
    assert len(calls) == 8  # four as they are, four with another's recording


@pytest.mark.parametrize("how", ["none", "full", "selective"])
def test_answers_are_what_the_model_says_and_their_error_rate(
    watch: Callable[..., Watch], listener: Trainee, tiny_model: Callable[..., Qwen2Audio], how: Any
) -> None:
    model = tiny_model()
    model.load_state_dict(listener.model.state_dict())
    recompute(model, how)
    seen = watch(num_answers=4)(Trainee(model).train())
    assert [(answer.reference, answer.hypothesis) for answer in seen.answers] == [(word, word) for word in WORDS]
    assert [answer.recording for answer in seen.answers] == ["300.wav", "900.wav", "2500.wav", "5000.wav"]
    assert seen.answers[0].prompt == "<audio>What is said?"
    assert seen.values["heldout/wer"] == 0
    assert "heldout/exact_match" not in seen.values


def test_a_deaf_models_error_rate_is_high(
    watch: Callable[..., Watch], listener: Trainee, tiny_model: Callable[..., Qwen2Audio]
) -> None:
    seen = watch(num_answers=4)(deaf(listener, tiny_model))
    assert len({answer.hypothesis for answer in seen.answers}) == 1
    assert seen.values["heldout/wer"] >= 0.75


def test_labels_are_right_or_wrong(watch: Callable[..., Watch], listener: Trainee, tones: list[Recording]) -> None:
    labels = [transcript(tones[0], WORDS[0], "emotion"), transcript(tones[1], WORDS[0], "emotion")]
    seen = watch(labels, num_answers=9)(listener)
    assert seen.values["heldout/exact_match"] == 0.5
    assert "heldout/wer" not in seen.values


def test_answers_under_autocast(watch: Callable[..., Watch], listener: Trainee) -> None:
    seen = watch(num_answers=4, arithmetic=lambda: torch.autocast("cpu", torch.bfloat16))(listener)
    assert len(seen.answers) == 4
    assert seen.values["heldout/wer"] <= 0.5
    assert seen.values["heldout/gap"] > 0.8


def test_without_the_extra_answers_stay_and_the_rate_is_left_out_once(
    watch: Callable[..., Watch], listener: Trainee, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "whisper_normalizer.basic", None)
    looking = watch(num_answers=2)
    first, second = looking(listener), looking(listener)
    sentence = (
        "held-out answers are not scored: error rates of held-out answers need whisper-normalizer; "
        "run `pip install 'auricle[eval]'`"
    )
    assert (first.remarks, second.remarks) == ((sentence,), ())
    assert len(first.answers) == len(second.answers) == 2
    assert "heldout/wer" not in first.values


def test_what_cannot_be_heard_is_left_out_and_said_once(
    watch: Callable[..., Watch], listener: Trainee, transcripts: list[Group], tmp_path: Path
) -> None:
    broken = Recording(tmp_path / "broken.wav")
    broken.path.write_bytes(b"no sound")
    looking = watch([*transcripts, transcript(broken, "lost")], num_answers=5)
    first, second = looking(listener), looking(listener)
    assert len(first.answers) == 4
    assert any(remark.startswith("1 held-out examples are left out, the first because:") for remark in first.remarks)
    assert any(remark.startswith("a held-out question is left out:") for remark in first.remarks)
    assert second.remarks == ()
    assert math.isfinite(first.values["heldout/loss"])


def test_one_recording_alone_has_no_probe(
    watch: Callable[..., Watch], listener: Trainee, tones: list[Recording]
) -> None:
    seen = watch([transcript(tones[0], WORDS[0]), transcript(tones[0], WORDS[1])])(listener)
    assert "heldout/gap" not in seen.values
    assert len(seen.remarks) == 1
    assert "no alignment probe: made: quick brown 300.wav: no other recording to hear instead" in seen.remarks[0]
    assert seen.values["heldout/nll"] > 0


def test_nothing_held_out_measures_nothing(watch: Callable[..., Watch], listener: Trainee) -> None:
    assert watch([], num_answers=3)(listener) == Seen({})


def test_pairs_are_judged_hearing_and_in_silence(
    watch: Callable[..., Watch],
    listener: Trainee,
    tiny_model: Callable[..., Qwen2Audio],
    tones: list[Recording],
    tmp_path: Path,
) -> None:
    """The policy as its own reference: every margin is 0, in silence too, which has a reference of its own."""
    pairs = [pair(tone, WORDS[n], WORDS[n - 1]) for n, tone in enumerate(tones)]
    reference = Reference(ContentCache(tmp_path / "cache.sqlite"), "same", lambda pack: listener(pack))
    values = watch(pairs, DpoObjective(reference))(listener).values
    for where in ("heldout", "silent"):
        assert values[f"{where}/rewards/margins"] == pytest.approx(0, abs=1e-5)
        assert values[f"{where}/loss"] == pytest.approx(math.log(2), abs=1e-5)
    other = Trainee(tiny_model(seed=1))
    against = watch(pairs, DpoObjective(reference))(other).values
    assert abs(against["heldout/rewards/margins"]) > 1e-3
    assert against["heldout/rewards/margins"] != pytest.approx(against["silent/rewards/margins"], abs=1e-4)


def test_of_pairs_the_probe_counts_the_preferred_answers(
    watch: Callable[..., Watch], listener: Trainee, tones: list[Recording], tokenizer: Tokenizer, tmp_path: Path
) -> None:
    pairs = [pair(tone, WORDS[n], WORDS[n - 1]) for n, tone in enumerate(tones)]
    reference = Reference(ContentCache(tmp_path / "cache.sqlite"), "same", lambda pack: listener(pack))
    values = watch(pairs, DpoObjective(reference))(listener).values
    chosen = heard_packs([(group[0],) for group in pairs], tokenizer, 1)
    nll = torch.cat([listener(pack).detach() for pack in chosen])
    assert values["heldout/nll"] == pytest.approx(nll.mean().item(), rel=1e-4)


def test_the_probe_is_made_of_the_same_examples(
    recordings: list[Path], tones: list[Recording], tokenizer: Tokenizer
) -> None:
    """One that cannot take another's recording is left out of both; each prompt has as many places as it hears."""
    groups = [transcript(Recording(path), path.stem) for path in recordings]
    groups.append(transcript(tones[0], "too long with any other"))
    hear = hearing(tokenizer)

    def strict(group: Group, rng: np.random.Generator) -> Sequence[tuple[Prepared, Label]]:
        if group[0].answer == "too long with any other" and group[0].recordings != (tones[0],):
            raise UserError("too long")
        return hear(group, rng)

    made = make_probes(groups, measure, strict, pack_tokens=1, seed=0)
    targets = [sorted(tuple(pack.targets.tolist()) for pack in packs) for packs in (made.heard, made.other)]
    assert targets[0] == targets[1]
    assert len(targets[0]) == 3
    assert made.remarks == (
        "1 held-out examples are left out, the first because: " + made.remarks[0].split("because: ")[1],
    )
    mine = {tuple(pack.targets.tolist()): pack.inputs.num_frames for pack in made.heard}
    others = {tuple(pack.targets.tolist()): pack.inputs.num_frames for pack in made.other}
    assert all(mine[text] != others[text] for text in mine)


RANKS = """
import json, pickle, sys, warnings
warnings.simplefilter("ignore")
import torch
from torch import distributed
folder, rank = sys.argv[1], int(sys.argv[2])
sys.path.insert(0, sys.argv[3])
import test_watch
from auricle.train.distributed import Ranks, settle
from auricle.weights import read_checkpoint
from pathlib import Path
torch.set_num_threads(1)
distributed.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
checkpoint = read_checkpoint(Path(sys.argv[4]), dtype=torch.float32, device=torch.device("cpu"))
groups = pickle.loads(Path(folder, "groups").read_bytes())
hear = test_watch.hearing(checkpoint.tokenizer)
watch = test_watch.Watch(groups, test_watch.measure, hear, test_watch.CrossEntropy(), checkpoint,
                         num_answers=2, pack_tokens=1)
trainee = test_watch.Trainee(checkpoint.model)
settle(trainee, Ranks(rank, 2, torch.device("cpu")), frozenset(), torch.float32)
seen = watch(trainee)
Path(folder, f"seen{rank}").write_text(json.dumps([seen.values, len(seen.answers), seen.remarks]))
distributed.barrier()  # neither leaves while the other still talks
distributed.destroy_process_group()
"""


@pytest.mark.slow
def test_two_ranks_with_a_sharded_model_say_what_one_does(
    watch: Callable[..., Watch], transcripts: list[Group], checkpoint: Checkpoint, tmp_path: Path
) -> None:
    """Three packs of sound and one of text: the ranks' shares differ in number."""
    words = (Example(RawPrompt(("Who speaks?",)), "a dog", (), "made", "made", "text"),)
    groups = [*transcripts[:3], words]
    (tmp_path / "groups").write_bytes(pickle.dumps(groups))
    arguments = [str(Path(__file__).parent), str(checkpoint.directory)]
    ranks = [subprocess.Popen([sys.executable, "-c", RANKS, str(tmp_path), str(rank), *arguments]) for rank in range(2)]
    assert [rank.wait(timeout=300) for rank in ranks] == [0, 0]
    alone = watch(groups, pack_tokens=1)(Trainee(checkpoint.model)).values
    for rank in range(2):
        values, num_answers, remarks = json.loads((tmp_path / f"seen{rank}").read_text())
        assert (values, num_answers) == (pytest.approx(alone, rel=1e-6, abs=5e-6), 0)  # the gap: 7.6 less 7.4
        assert remarks == ["no answers and no word error rate: a model on several ranks cannot generate"]
