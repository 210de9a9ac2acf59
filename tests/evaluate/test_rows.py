"""Which rows a table has, and which parts of a row are looked at apart."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from auricle.evaluate.published import ROWS
from auricle.evaluate.rows import METRICS, row_remarks, rows_for
from auricle.evaluate.sample import LABEL_TASKS, Sample, Task
from auricle.evaluate.slices import bin_name, slices_of


def sample(
    source: str,
    number: int = 0,
    *,
    task: Task = "asr",
    duration_s: float | None = None,
    speaker: str | None = None,
) -> Sample:
    audio = Path(f"{source}{number}.wav")
    return Sample(str(number), "made", source, task, audio, "?", "!", speaker=speaker, duration_s=duration_s)


def test_published_rows_pool_their_sources_and_others_stand_alone() -> None:
    sources = ["meld_test", "tuxpaint_fr", "librispeech_dev_clean", "meld_dev", "asterisk_en"]
    tasks: list[Task] = ["emotion", "asr", "asr", "emotion", "asr"]
    rows = rows_for([sample(source, task=task) for source, task in zip(sources, tasks, strict=True)])
    assert [row.name for row in rows] == ["librispeech_dev_clean", "meld", "asterisk_en", "tuxpaint_fr"]
    assert rows[1].sources == ("meld_dev", "meld_test")
    assert rows[2].official is None
    assert rows_for([sample("tuxpaint_sounds", task="sound")])[0].metric == "accuracy"
    assert {METRICS[task] for task in LABEL_TASKS} == {"accuracy"}


def test_no_source_belongs_to_two_published_rows_of_one_metric() -> None:
    sources = [source for row in ROWS if row.metric != "judge" for source in row.sources]
    assert len(sources) == len(set(sources))
    assert len({row.name for row in ROWS}) == len(ROWS)


def test_a_row_says_what_keeps_it_from_the_published_one() -> None:
    [meld] = [row for row in ROWS if row.name == "meld"]
    assert row_remarks(meld, [sample("meld_test", task="emotion")], limit=None) == [
        "pools meld_dev and meld_test when published; here without meld_dev",
        "1 samples, the published row has 3,716",
    ]
    both = [sample("meld_dev", number, task="emotion") for number in range(3715)] + [
        sample("meld_test", task="emotion")
    ]
    assert row_remarks(meld, both, limit=None) == []


def test_a_limit_is_a_part_only_where_it_cut_something() -> None:
    [spanish, meld] = [row for row in ROWS if row.name in ("meld", "covost2_es_en")]
    ten = [sample(f"meld_{part}", number, task="emotion") for part in ("dev", "test") for number in range(5)]
    part = "a part: at most 5 samples of each source were asked (--limit)"
    assert row_remarks(meld, ten, limit=5) == [part, "10 samples, the published row has 3,716"]
    # a source of less than the limit was not cut, though it is not as published
    assert row_remarks(meld, ten, limit=6) == ["10 samples, the published row has 3,716"]
    whole = [sample("meld_dev", number, task="emotion") for number in range(3715)] + ten[-1:]
    assert row_remarks(meld, whole, limit=3715) == []
    more = [*whole, *ten[-3:]]
    assert row_remarks(meld, more, limit=3715) == ["3,719 samples, the published row has 3,716"]
    # nobody published how many there are: as many as the limit may be a part
    assert row_remarks(spanish, [sample("covost2_es_en_test", number) for number in range(5)], limit=5) == [part]
    assert row_remarks(spanish, [sample("covost2_es_en_test", number) for number in range(4)], limit=5) == []


@given(value=st.floats(-100, 100), edges=st.lists(st.floats(-50, 50), min_size=2, max_size=6, unique=True).map(sorted))
def test_every_value_has_one_bin_that_holds_it(value: float, edges: list[float]) -> None:
    name = bin_name(value, edges, "s")
    names = [bin_name(edge, edges, "s") for edge in edges]
    place = names.index(name)
    assert place == 0 or value >= edges[place]
    assert place == len(edges) - 1 or value < edges[place + 1]


def test_bins_are_named_as_people_say_them() -> None:
    edges = (0.0, 2.0, 5.0, 10.0)
    assert [bin_name(value, edges, "s") for value in (0.0, 1.9, 2.0, 7.0, 10.0, None)] == [
        "under 2 s",
        "under 2 s",
        "2 to 5 s",
        "5 to 10 s",
        "10 s and more",
        None,
    ]


def test_slices_need_two_parts_with_five_samples() -> None:
    lengths = [1.0] * 5 + [7.0] * 6 + [25.0] * 4
    samples = [sample("a", number, duration_s=length, speaker="one") for number, length in enumerate(lengths)]
    assert slices_of(samples, {}) == [
        ("duration", "under 2 s", [0, 1, 2, 3, 4]),
        ("duration", "5 to 10 s", [5, 6, 7, 8, 9, 10]),
    ]
    noisy = {one.audio: -3.0 for one in samples[:7]} | {one.audio: 35.0 for one in samples[7:]}
    assert [(by, part) for by, part, _ in slices_of(samples, noisy) if by == "snr"] == [
        ("snr", "under 10 dB"),
        ("snr", "30 to 40 dB"),
    ]


def test_speakers_and_sources_are_slices() -> None:
    samples = [sample("b", number, speaker=f"s{number % 3}") for number in range(16)]
    samples += [sample("a", number) for number in range(5)]
    found = slices_of(samples, {})
    assert [(by, part, len(places)) for by, part, places in found] == [
        ("source", "a", 5),
        ("source", "b", 16),
        ("speaker", "s0", 6),
        ("speaker", "s1", 5),
        ("speaker", "s2", 5),
    ]
