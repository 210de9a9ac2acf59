"""Answers into scores: figures by hand, pooling, clusters, slices, comparisons, and scores that are read back."""

import dataclasses

import pytest
from made_answers import answered, labelled, one, values

from auricle.evaluate.normalise import open_mode
from auricle.evaluate.score import Beside, clusters_of, score

TRANSCRIPTS = [
    answered("The cat sat.", "the cat sat", number=0, speaker="a"),
    answered("Brown dogs ran home.", "brown dogs run home now", number=1, speaker="a"),
    answered("Yes.", "", number=2, speaker="b"),
    answered("Press on.", "", number=3, speaker="b", failure="no such file"),
]


def test_transcripts_are_counted_over_the_corpus() -> None:
    row = one(score(TRANSCRIPTS), "asterisk_en")
    # 10 reference words: `run` for `ran`, `now` added, `yes` and `press on` left out
    assert values(row)["wer"] == pytest.approx(5 / 10)
    assert dict(row.counts) == {
        "substitutions": 1,
        "insertions": 1,
        "deletions": 3,
        "reference_words": 10,
        "empty": 1,
        "runaway": 0,
        "cut_off": 0,
        "failed": 1,
    }
    assert row.primary.name == "wer"
    # characters, spaces too: 11 + 19 + 3 + 8 of the references; u for a, " now", "yes", "press on"
    assert values(row)["cer"] == pytest.approx((1 + 4 + 3 + 8) / (11 + 19 + 3 + 8))
    assert [scored.error for scored in row.answers] == pytest.approx([0, 2 / 4, 1, 1])
    assert [scored.flags for scored in row.answers] == [(), (), ("empty",), ("failed",)]
    assert row.audio_s == 8.0


def test_strict_counts_what_official_forgives() -> None:
    scores = score(TRANSCRIPTS)
    official, strict = one(scores, "asterisk_en"), one(scores, "asterisk_en", "strict")
    # strict has the points as tokens and the capitals: 14 units; The/the, sat ., Brown/brown, ran/run, home ., now
    assert values(strict)["wer"] > values(official)["wer"]
    assert dict(strict.counts)["reference_words"] == 14


def test_a_perfect_run_has_no_error_and_a_silent_one_has_all() -> None:
    references = ["the cat sat", "two dogs ran", "a bird sang"]
    perfect = score([answered(text, text, number=place) for place, text in enumerate(references)])
    silent = score([answered(text, "", number=place) for place, text in enumerate(references)])
    assert values(one(perfect, "asterisk_en")) == {"wer": 0, "cer": 0}
    assert values(one(silent, "asterisk_en")) == {"wer": 1, "cer": 1}


def test_characters_of_chinese_are_words_already() -> None:
    row = one(score([answered("你好 世界", "你好世街", source="fleurs_zh", language="zh")]), "fleurs_zh")
    assert values(row) == {"wer": pytest.approx(1 / 4)}
    assert "1 samples, the published row has 944" in row.remarks


def test_labels_pool_their_sources_and_what_is_none_counts_as_wrong() -> None:
    items = [
        labelled("joy", " joy", 0),
        labelled("joy", "anger", 1, "meld_dev"),
        labelled("anger", "Anger.", 2),
        labelled("neutral", "I cannot say", 3, "meld_dev"),
    ]
    scores = score(items)
    official, strict = one(scores, "meld"), one(scores, "meld", "strict")
    assert values(official)["accuracy"] == 1 / 4
    assert values(strict)["accuracy"] == 2 / 4
    # strict: joy 2/3 (1 of 2 found, none false), anger 2/3 (found, one false), neutral 0
    assert values(strict)["macro_f1"] == pytest.approx((2 / 3 + 2 / 3 + 0) / 3)
    assert dict(official.counts)["unparsed"] == 2
    assert dict(strict.counts)["unparsed"] == 1
    assert strict.confusions == (
        ("anger", "anger", 1),
        ("joy", "anger", 1),
        ("joy", "joy", 1),
        ("neutral", "(unparsed)", 1),
    )
    assert official.clusters == "speaker"


def test_translations_have_bleu_and_chrf() -> None:
    import sacrebleu

    pairs = [("the cat sat on the mat today", "the cat sat on a mat today"), ("good morning to all", "<|en|> good day")]
    items = [
        answered(reference, text, number=place, source="x_en", task="translation", target_language="en")
        for place, (reference, text) in enumerate(pairs)
    ]
    row = one(score(items), "x_en")
    references, texts = zip(*pairs, strict=True)
    assert values(row)["bleu"] == pytest.approx(sacrebleu.corpus_bleu(texts, [references]).score)
    assert values(row)["chrf"] == pytest.approx(sacrebleu.corpus_chrf(texts, [references]).score)
    assert row.answers[0].error < row.answers[1].error < 1


def test_chinese_translations_are_cut_as_the_official_script_does() -> None:
    import sacrebleu

    reference, text = "我今天早上去了学校。", "我今天早上去学校。"
    items = [answered(reference, text, source="covost2_en_zh_test", task="translation", target_language="zh")]
    by_character = sacrebleu.corpus_bleu([text], [[reference]], tokenize="zh").score
    assert values(one(score(items), "covost2_en_zh"))["bleu"] == pytest.approx(by_character)
    assert by_character != pytest.approx(sacrebleu.corpus_bleu([text], [[reference]]).score)


def test_speakers_are_resampled_where_there_are_two() -> None:
    assert clusters_of(TRANSCRIPTS) == (["a", "a", "b", "b"], "speaker", [])
    alone = [dataclasses.replace(item, sample=dataclasses.replace(item.sample, speaker="a")) for item in TRANSCRIPTS]
    clusters, name, [remark] = clusters_of(alone)
    assert (clusters, name) == (None, "utterance")
    assert remark.startswith("one speaker: the interval resamples utterances")
    mixed = [*TRANSCRIPTS, answered("no", "no", number=4), answered("so", "so", number=5)]
    clusters, name, [remark] = clusters_of(mixed)
    assert clusters is not None
    assert len(set(clusters)) == 4
    assert "each of them counts as one of its own" in remark


def test_a_slice_is_scored_as_a_row_of_its_own() -> None:
    short = [answered("a dog", "a", number=place, duration_s=1.0) for place in range(6)]
    long = [answered("a dog", "a dog", number=place, duration_s=12.0) for place in range(6, 13)]
    slices = one(score([*short, *long]), "asterisk_en").slices
    assert [(part.by, part.part, part.num_samples, part.figure.interval.value) for part in slices] == [
        ("duration", "under 2 s", 6, 0.5),
        ("duration", "10 to 20 s", 7, 0.0),
    ]
    snr_db = {item.sample.audio: 5.0 for item in short} | {item.sample.audio: 50.0 for item in long}
    parts = one(score([*short, *long], Beside(snr_db)), "asterisk_en").slices
    assert [part.part for part in parts if part.by == "snr"] == ["under 10 dB", "40 dB and more"]


def test_every_mode_says_why() -> None:
    for name in ("official", "strict"):
        mode = open_mode(name, [item.sample for item in TRANSCRIPTS])
        assert mode.name == name
        assert len(mode.reasons) > 3


def test_an_interval_that_means_little_says_so() -> None:
    few = one(score(TRANSCRIPTS), "asterisk_en")
    assert "2 to resample (speaker): too few for an interval that means much" in few.remarks
    alike = [answered("a dog", "a dog", number=place) for place in range(9)]
    assert any("the interval is a point" in remark for remark in one(score(alike), "asterisk_en").remarks)
    mixed = [answered("a dog", "a dog" if place % 2 else "a", number=place) for place in range(9)]
    assert [remark for remark in one(score(mixed), "asterisk_en").remarks if "interval" in remark] == [
        "no speaker named: the interval resamples utterances and says nothing about other speakers"
    ]


def test_japanese_has_a_character_error_rate_beside_its_words() -> None:
    row = one(score([answered("今日は 晴れ", "今日は 雨", source="x", language="ja")]), "x")
    assert values(row) == {"wer": pytest.approx(1 / 2), "cer": pytest.approx(2 / 6)}
