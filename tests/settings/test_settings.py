"""Defaults < file < key=value; every mistake is named with what was expected."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from auricle.errors import UserError
from auricle.settings import annotation, changed, differences, nearest, read_settings, to_tree
from auricle.settings import names as names_of
from auricle.train.settings import Recipe


@dataclass(frozen=True)
class Inner:
    path: Path
    weight: float = 1.0


@dataclass(frozen=True)
class Rank:
    rank: int = 4


@dataclass(frozen=True)
class Outer:
    steps: int = 10
    rate: float = 1e-3
    name: str = "run"
    quick: bool = False
    mode: Literal["full", "none"] = "none"
    out: Path = Path("run")
    span: tuple[float, float] = (0.5, 1.5)
    layers: int | Literal["step by step"] | None = None
    sources: tuple[Inner, ...] = ()
    rank: Rank | None = None
    nested: Rank = field(default_factory=Rank)


def write(tmp_path: Path, text: str) -> Path:
    (tmp_path / "recipe.yaml").write_text(text)
    return tmp_path / "recipe.yaml"


def test_the_file_changes_defaults_and_the_command_line_changes_the_file(tmp_path):
    file = write(tmp_path, "steps: 20\nrate: 2e-4\nnested: {rank: 7}\nsources: [{path: a.jsonl, weight: 3}]\n")
    read = read_settings(Outer(), file, ["steps=30", "sources.0.weight=5", "layers=step by step", "rank.rank=2"])
    assert read == Outer(
        steps=30,
        rate=2e-4,
        nested=Rank(7),
        sources=(Inner(Path("a.jsonl"), 5.0),),
        layers="step by step",
        rank=Rank(2),
    )


def test_nothing_said_changes_nothing(tmp_path):
    assert read_settings(Outer(), write(tmp_path, "")) == Outer()
    assert read_settings(Outer()) == Outer()


def test_null_takes_away_and_home_is_known():
    assert read_settings(Outer(rank=Rank()), None, ["rank=null"]).rank is None
    assert read_settings(Outer(), None, ["out=~/run"]).out == Path.home() / "run"


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("stepz=3", "unknown setting stepz; did you mean steps?"),
        ("nested.rnk=3", "unknown setting nested.rnk; did you mean nested.rank?"),
        ("rnk=3", r"unknown setting rnk; did you mean rank.rank or rank or nested.rank\?"),
        ("wieght=3", r"unknown setting wieght; did you mean sources.0.weight\?"),
        ("sources=[{path: a, weigth: 3}]", r"unknown setting sources.0.weigth; did you mean sources.0.weight\?"),
        ("nested.lr=3", "unknown setting nested.lr; expected nested.rank$"),
        ("lr=3", "unknown setting lr; expected steps, rate, name, quick"),
        ("steps", "'steps' is no setting; expected key=value, for example"),
        ("=3", "'=3' is no setting"),
        ("steps=2.5", "steps is 2.5; expected a whole number"),
        ("steps=true", "steps is True; expected a whole number"),
        ("rate=fast", "rate is 'fast'; expected a number"),
        ("rate=.nan", "rate is nan; expected a number"),
        ("name=3", "name is 3; expected a text"),
        ("quick=1", "quick is 1; expected true or false"),
        ("mode=half", "mode is 'half'; expected 'full' or 'none'"),
        ("out=", "out is None; expected a path"),
        ("span=[1]", r"span is \[1\]; expected a list of 2"),
        ("sources=a", "sources is 'a'; expected a list"),
        ("sources=[{weight: 2}]", "sources.0 lacks path; expected path"),
        ("sources=[a.jsonl]", "sources.0 is 'a.jsonl'; expected keys with values"),
        ("sources.0.weight=2", "sources.0 does not exist; sources has 0 entries, from 0"),
        ("layers=some", "layers is 'some'; expected a whole number or 'step by step' or nothing"),
        ("nested=3", "nested is 3; expected keys with values"),
        ("steps=[", r"steps=\[ is not valid yaml"),
    ],
)
def test_mistakes_are_named(override, sentence):
    with pytest.raises(UserError, match=sentence):
        read_settings(Outer(), None, [override])


@pytest.mark.parametrize(
    ("key", "names"),
    [
        ("lr", []),
        ("beta", ["dpo.beta"]),
        ("pack_tokens", ["data.pack_tokens"]),
        ("rank", ["lora.rank"]),
        ("optimiser.clip", ["optimizer.clip"]),
        ("every", ["watch.every", "save.every"]),
        ("save.evry", ["save.every"]),
        ("dpo_beta", ["dpo.beta"]),
        ("data.lr", []),
        ("batch_size", []),
    ],
)
def test_the_whole_recipe_is_searched_for_a_misspelt_name(key, names):
    assert nearest(names_of(Recipe), key) == names


def test_a_setting_says_what_it_may_be():
    assert annotation(Outer, "sources.7.weight") is float
    assert annotation(Outer, "nested.rank") is int
    assert annotation(Outer, "rank.rank") is int
    assert annotation(Outer, "span.1") is float
    assert annotation(Outer, "rnk") is None


def test_a_file_that_cannot_be_read(tmp_path):
    with pytest.raises(UserError, match=r"cannot read the settings .*nowhere.yaml: .*; check the path"):
        read_settings(Outer(), tmp_path / "nowhere.yaml")
    with pytest.raises(UserError, match=r"recipe.yaml: the settings is \['steps'\]; expected keys with values"):
        read_settings(Outer(), write(tmp_path, "- steps\n"))


@given(
    st.builds(
        Outer,
        steps=st.integers(-(10**6), 10**6),
        rate=st.floats(allow_nan=False, allow_infinity=False, width=32),
        name=st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1).map("n{}".format),
        quick=st.booleans(),
        mode=st.sampled_from(["full", "none"]),
        span=st.tuples(st.floats(-5, 5), st.floats(-5, 5)),
        layers=st.none() | st.integers(0, 40) | st.just("step by step"),
        sources=st.lists(st.builds(Inner, st.sampled_from([Path("a"), Path("b/c")]), st.floats(0, 9))).map(tuple),
        rank=st.none() | st.builds(Rank, st.integers(1, 9)),
    )
)
def test_what_is_written_is_read_back(settings):
    tree = yaml.safe_load(yaml.safe_dump(to_tree(settings)))
    assert changed(Outer(), tree, "here") == settings
    assert differences(tree, to_tree(settings)) == []


def test_differences_are_dotted_keys():
    one, other = to_tree(Outer()), to_tree(Outer(steps=3, nested=Rank(9), rank=Rank()))
    assert differences(one, other) == ["steps", "rank", "nested.rank"]
