"""Stages as values: what they make, how their data are weighted, and the recipes to start from."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from auricle.conversation import Audio, Message, RawPrompt
from auricle.data import Dialogue, Labelled, Preference, Recording
from auricle.data.settings import BalanceSettings, DataSettings, VoiceSettings
from auricle.data.source import Source
from auricle.errors import UserError
from auricle.train.objective import CrossEntropy
from auricle.train.schedule import check_phases, rates
from auricle.train.settings import OptimizerSettings, Recipe
from auricle.train.stages import PRESETS, preset, supervised_stage, weighted

STAGES = ("pretrain", "sft", "dpo")
USER, REPLY = Message("user", (Audio(),)), Message("assistant", ("one two three",))


def labelled(number: int, task: str = "asr", target: str | None = None) -> Labelled:
    recording = Recording(Path(f"{number}.wav"), duration_s=2.0)
    return Labelled(f"m:{number}", str(number), "m", (recording,), task, target or f"text {number}", "en")


def chat(number: int) -> Dialogue:
    recording = Recording(Path(f"{number}.wav"), duration_s=2.0)
    return Dialogue(f"d:{number}", f"d{number}", "d", (recording, recording), (USER, REPLY, USER, REPLY))


def with_few_shot(share: float) -> Recipe:
    recipe = Recipe()
    return replace(recipe, data=replace(recipe.data, few_shot=share))


def test_stage_1_makes_raw_prompts_with_the_recipes_share_of_solved_ones():
    records = [labelled(number) for number in range(20)]
    stage = supervised_stage("pretrain", with_few_shot(0.5), [Source("m", records, 1.0)])
    assert (stage.name, stage.needs_keys) == ("pretrain", False)
    assert isinstance(stage.objective, CrossEntropy)
    examples = [stage.make(records[0], np.random.default_rng((3, n)))[0] for n in range(1000)]
    assert all(isinstance(example.prompt, RawPrompt) for example in examples)
    solved = sum(len(example.recordings) > 1 for example in examples)
    assert abs(solved - 500) <= 5 * math.sqrt(1000 * 0.25)


def test_stage_2_makes_conversations_and_finds_hesitation_in_the_data():
    records = [*(chat(number) for number in range(9)), labelled(77, target="Um.")]
    stage = supervised_stage("sft", Recipe(), [Source("all", records, 1.0)])
    examples = [stage.make(records[0], np.random.default_rng((3, n)))[0] for n in range(400)]
    assert {len(example.prompt) for example in examples} == {4, 8}  # alone, or followed by one more
    assert any(example.supervised and False in example.supervised for example in examples)
    assert any(part.path.name == "77.wav" for example in examples for part in example.recordings)


@pytest.mark.parametrize("name", ["pretrain", "sft"])
def test_held_out_data_stay_as_they_are(name: str):
    stage = supervised_stage(name, with_few_shot(1.0), ())
    record = labelled(0) if name == "pretrain" else chat(0)
    for number in range(50):
        [example] = stage.make(record, np.random.default_rng(number))
        assert example.recordings == record.recordings
        if name == "sft":
            assert (example.prompt, example.supervised) == (record.messages, None)


def test_dpo_is_no_supervised_stage():
    with pytest.raises(ValueError, match="dpo is no supervised stage"):
        supervised_stage("dpo", Recipe(), ())


def test_without_weights_stage_1_follows_the_published_hours():
    sources = [
        Source("speech", [labelled(n) for n in range(30)], 1.0),
        Source("moods", [labelled(n, "ser", "joy") for n in range(10)], 1.0),
        Source("sounds", [labelled(n, "aac") for n in range(3)], 1.0),
        Source("songs", [labelled(n, "music") for n in range(2)], 1.0),
    ]
    found = weighted("pretrain", Recipe(), sources)
    total = sum(source.weight for source in found.sources)
    shares = {source.name: source.weight / total for source in found.sources}
    published = {"speech": 0.712 * 0.75, "moods": 0.712 * 0.25, "sounds": 0.019, "songs": 0.269}
    assert shares == pytest.approx(published, abs=1e-3)
    assert [source.records for source in found.sources] == [source.records for source in sources]
    [note] = found.notes
    assert "no source has a weight" in note
    assert "songs 26.9%" in note


def test_stated_weights_stay():
    sources = [Source("a", [labelled(0)], 1.0), Source("b", [labelled(1, "music")], 2.0)]
    assert weighted("pretrain", Recipe(), sources).sources == tuple(sources)
    assert weighted("pretrain", Recipe(), sources[:1]).sources == (sources[0],)


def test_a_source_without_labelled_recordings_is_refused():
    sources = [Source("a", [labelled(0)], 1.0), Source("chats", [chat(0)], 1.0)]
    with pytest.raises(UserError, match="chats holds no labelled recording, from which stage 1 learns; leave it out"):
        weighted("pretrain", Recipe(), sources)


def test_stage_2_is_drawn_by_its_ratios():
    records = [chat(0), *(replace(chat(n), complexity="complex") for n in range(1, 3))]
    [as_it_is] = weighted("sft", Recipe(), [Source("d", records, 2.0)]).sources
    assert (as_it_is.weight, as_it_is.record_weights) == (2.0, None)
    found = weighted("sft", balanced(BalanceSettings()), [Source("d", records, 1.0)])
    weights = found.sources[0].record_weights
    assert weights[0] / sum(weights) == pytest.approx(0.3, abs=1e-3)
    assert "mode: no record is analysis, its 50% go to the others" in found.notes
    [even] = weighted("sft", balanced(BalanceSettings(complexity=(2, 2))), [Source("d", records, 1.0)]).sources
    assert even.record_weights[0] / sum(even.record_weights) == pytest.approx(0.5, abs=1e-3)


def balanced(settings: BalanceSettings) -> Recipe:
    return replace(Recipe(), data=DataSettings(balance=settings))


@pytest.mark.parametrize("name", PRESETS)
def test_presets_of_stage_2_alone_bend_the_weights(name: str):
    settings = {stage: preset(stage, name).data.balance for stage in STAGES}
    assert settings == {"pretrain": None, "sft": BalanceSettings(), "dpo": None}


def test_a_recipe_says_how_lively_voice_chats_are():
    records = [*(chat(number) for number in range(9)), labelled(77, target="Um.")]
    recipe = replace(Recipe(), data=DataSettings(voice=VoiceSettings(join=0, interrupt=0, filler=1)))
    stage = supervised_stage("sft", recipe, [Source("all", records, 1.0)])
    for number in range(50):
        [example] = stage.make(records[0], np.random.default_rng(number))
        assert (len(example.prompt), len(example.recordings)) == (4, 3)


def test_stage_3_is_drawn_by_the_recipes_shares():
    def pair(number: int, dimension: str) -> Preference:
        return Preference(f"p:{number}", str(number), "p", (), (USER,), "a", "b", dimension)

    records = [pair(0, "factual"), *(pair(number, "safety") for number in range(1, 9))]
    found = weighted("dpo", Recipe(), [Source("p", records, 1.0)])
    total = sum(source.weight for source in found.sources)
    shares = {source.records[0].dimension: source.weight / total for source in found.sources}
    assert shares == pytest.approx({"factual": 2 / 3, "safety": 1 / 3})


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize("stage", STAGES)
def test_every_preset_is_a_run_that_could_be(stage: str, name: str):
    recipe = preset(stage, name)
    check_phases(recipe.phases, recipe.optimizer, num_layers=32)
    assert recipe.phases[-1].until == 1.0
    assert recipe.max_tokens == 8192


def peaks(stage: str, name: str, progress: float):
    recipe = preset(stage, name)
    return rates(recipe.phases, OptimizerSettings(warmup=0.0, final_share=1.0), progress, num_layers=32)


def test_the_large_preset_is_the_briefs():
    first, middle, last = (peaks("pretrain", "qwen2_audio", progress) for progress in (0.1, 0.35, 0.9))
    assert (first.projector, first.encoder, first.decoder) == (1e-4, 0, 0)
    assert (middle.projector, middle.encoder, middle.decoder) == (1e-4, 1e-5, 0)
    assert (last.projector, last.encoder, last.decoder) == (1e-4, 1e-5, 1e-5)
    tuned = peaks("sft", "qwen2_audio", 0.5)
    assert (tuned.projector, tuned.encoder, tuned.decoder) == (2e-5,) * 3
    recipe = preset("dpo", "qwen2_audio")
    end = rates(recipe.phases, recipe.optimizer, 1.0, num_layers=32)
    assert recipe.dpo.beta == 0.1
    assert recipe.phases[0].decoder == 1e-6
    assert end.decoder == pytest.approx(5e-7)
    assert {preset(stage, "qwen2_audio").dtype for stage in STAGES} == {"bfloat16"}


def test_the_small_preset_is_what_mini_was_trained_with():
    first, middle, last = (peaks("pretrain", "small", progress) for progress in (0.05, 0.35, 0.9))
    assert (first.projector, first.encoder, first.decoder) == (1e-3, 0, 0)
    assert (middle.projector, middle.encoder, middle.decoder) == (1e-3, 0, 4e-4)
    assert (last.projector, last.encoder, last.decoder) == (1e-3, 3e-5, 4e-4)
    assert preset("pretrain", "small").phases[-1].encoder_layers == 2
    assert preset("dpo", "small").phases[0].decoder <= 5e-6


def test_an_unknown_preset_names_those_there_are():
    with pytest.raises(UserError, match="unknown preset 'big': expected qwen2_audio or small"):
        preset("sft", "big")
