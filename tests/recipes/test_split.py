"""No held-out id, audio or normalised text is in the training manifest, in any voice."""

import gzip
from collections import Counter
from pathlib import Path

import pytest

from auricle.evaluate.datasets import debian_split as split

RECIPE = Path(__file__).parents[2] / "recipes" / "mini"


@pytest.fixture(scope="module")
def training() -> list[list[str]]:
    return [
        line.split("\t") for line in gzip.decompress((RECIPE / "training.tsv.gz").read_bytes()).decode().splitlines()
    ]


@pytest.fixture(scope="module")
def held_out() -> list[list[str]]:
    return [line.split("\t") for line in (RECIPE / "test.tsv").read_text().splitlines()]


def test_both_manifests_hold_what_they_should(training, held_out):
    trained, tested = Counter(row[0] for row in training), Counter(row[0] for row in held_out)
    assert tested["asterisk-en"] == 101
    assert tested["librivox"] == 5
    assert trained["librivox"] == 0
    assert trained["asterisk-en"] > 400
    assert sum(trained.values()) > 15_000


def test_no_held_out_id(training, held_out):
    tested = {(source, identity) for source, identity, *_ in held_out}
    assert not tested & {(source, identity) for source, identity, *_ in training}
    asterisk = [identity for source, identity, *_ in training if source.startswith("asterisk")]
    assert asterisk
    assert not [identity for identity in asterisk if split.is_test(identity)]
    painted = [identity.rsplit("/", 1)[-1] for source, identity, *_ in training if source == "tuxpaint"]
    assert not [stem for stem in painted if split.is_test(stem)]


def test_no_held_out_audio(training, held_out):
    tested = {row[2] for row in held_out}
    assert len(tested) > 300
    assert not tested & {row[2] for row in training}


def test_no_held_out_text(training, held_out):
    tested = {row[3] for row in held_out}
    assert all(split.normalise(text) == text for text in tested)
    assert not tested & {row[3] for row in training}


def test_the_rule_is_the_written_one():
    import hashlib

    for identity in ("digits/7", "vm-intro", "hello-world", "cat"):
        assert split.is_test(identity) == (hashlib.sha1(identity.encode()).hexdigest()[-1] in "012")


@pytest.mark.parametrize(
    ("one", "other"),
    [("Hello, World!", "hello world"), ("It's  \u00c9t\u00e9", "its e\u0301te\u0301"), ("re-entered", "RE ENTERED")],
)
def test_texts_that_count_as_the_same(one, other):
    assert split.normalise(one) == split.normalise(other)
