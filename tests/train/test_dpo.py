"""The DPO loss against float64 and TRL's, its gradient, its pairs, its shares, and what twenty steps do."""

import json
import math
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from auricle import units
from auricle.audio import Mel
from auricle.content_cache import ContentCache
from auricle.conversation import Audio, Message
from auricle.data import Label, Labelled, Pack, Preference, Recording, make_pack
from auricle.data.formats import DIMENSIONS
from auricle.data.manifest import open_records
from auricle.data.reading import where_of
from auricle.data.source import Source
from auricle.errors import UserError
from auricle.model import Qwen2Audio
from auricle.prepare import Prepared, Prompt, render
from auricle.text import Tokenizer
from auricle.train.dpo import DpoObjective, dpo_losses, dpo_make
from auricle.train.reference import Reference, sequence_logps
from auricle.train.shares import by_dimension
from auricle.train.trainee import Trainee


class Fixed:
    """Stands for a Reference that knows everything."""

    def __init__(self, logps: list[float]) -> None:
        self._logps = logps

    def logps(self, pack: Pack) -> torch.Tensor:
        return torch.tensor(self._logps)


def pack_of(*num_scored: int) -> Pack:
    """Sequences of one unscored and so many scored tokens."""
    return make_pack(
        [
            (Prepared(Prompt((1,) * (num + 1), (False, *[True] * num), ())), Label("x", "s", "t", f"{number}"))
            for number, num in enumerate(num_scored)
        ]
    )


NUM_SCORED = (3, 2, 4, 4, 1, 6)
REFERENCE = [-4.0, -3.5, -6.0, -9.0, -0.25, -8.0]


@pytest.fixture
def pack() -> Pack:
    return pack_of(*NUM_SCORED)


@pytest.fixture
def nlls() -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return (3 * torch.rand(sum(NUM_SCORED), generator=generator)).requires_grad_(True)


def objective(logps: list[float], beta: float = 0.1, nll_weight: float = 0.0) -> DpoObjective:
    return DpoObjective(Fixed(logps), beta=beta, nll_weight=nll_weight)  # type: ignore[arg-type]


def oracle(nlls: list[list[float]], reference: list[float], beta: float, nll_weight: float) -> float:
    """Plain Python floats, pair by pair."""
    total = 0.0
    for pair in range(len(nlls) // 2):
        chosen, rejected = 2 * pair, 2 * pair + 1
        margin = (-sum(nlls[chosen]) - reference[chosen]) - (-sum(nlls[rejected]) - reference[rejected])
        total += math.log1p(math.exp(-beta * margin)) + nll_weight * sum(nlls[chosen]) / len(nlls[chosen])
    return total


@pytest.mark.parametrize("beta", [0.1, 0.5])
@pytest.mark.parametrize("nll_weight", [0.0, 0.7])
def test_loss_and_gradient_are_the_float64_oracles(pack: Pack, nlls: torch.Tensor, beta: float, nll_weight: float):
    loss = objective(REFERENCE, beta, nll_weight)(nlls, pack)
    loss.sum.backward()
    values = nlls.detach().double().tolist()

    def at(values: list[float]) -> float:
        parts, start = [], 0
        for num in NUM_SCORED:
            parts.append(values[start : start + num])
            start += num
        return oracle(parts, REFERENCE, beta, nll_weight)

    assert loss.sum.item() == pytest.approx(at(values), rel=1e-6)
    assert loss.logged["loss"] == (pytest.approx(at(values), rel=1e-6), 3.0)
    for place in range(len(values)):
        up, down = list(values), list(values)
        up[place] += 1e-6
        down[place] -= 1e-6
        assert nlls.grad is not None
        assert nlls.grad[place].item() == pytest.approx((at(up) - at(down)) / 2e-6, rel=1e-4, abs=1e-7)


def trl_loss(
    rows: list[torch.Tensor], reference: list[float], losses: list[str], weights: list[float], beta: float
) -> tuple[torch.Tensor, dict[str, float]]:
    """TRL's own loss method on the same log-probabilities, with a model that answers with them."""
    from trl.trainer.dpo_trainer import DPOTrainer

    rows = rows[0::2] + rows[1::2]  # its batch holds the chosen answers first
    longest = max(map(len, rows))
    mask = torch.tensor([[0] + [1] * len(row) + [0] * (longest - len(row)) for row in rows])
    logps = torch.stack([torch.nn.functional.pad(-row, (0, longest - len(row))) for row in rows])
    zeros = torch.zeros_like(logps)

    def model(**_: object) -> SimpleNamespace:
        return SimpleNamespace(log_probs=logps, entropy=zeros, mean_logits=zeros, is_top1=zeros.bool())

    def same(tensor: torch.Tensor) -> torch.Tensor:
        return tensor

    metrics: dict[str, list[float]] = {name: [] for name in ("entropy", "num_tokens", "mean_token_accuracy")}
    for name in ("chosen", "rejected"):
        metrics |= {f"logits/{name}": [], f"rewards/{name}": [], f"logps/{name}": []}
    metrics |= {"rewards/accuracies": [], "rewards/margins": []}
    stub = SimpleNamespace(
        model=SimpleNamespace(training=True),
        accelerator=SimpleNamespace(device=torch.device("cpu"), gather=same, gather_for_metrics=same),
        aux_loss_enabled=False,
        ld_alpha=None,
        precompute_ref_logps=True,
        f_divergence_type="reverse_kl",
        loss_types=losses,
        loss_weights=weights,
        beta=beta,
        use_weighting=False,
        _metrics={"train": metrics},
        _total_train_tokens=0,
        _tp_size=1,
    )
    inputs = {
        "input_ids": torch.ones_like(mask),
        "attention_mask": mask,
        "completion_mask": mask,
        "ref_chosen_logps": torch.tensor(reference[0::2]),
        "ref_rejected_logps": torch.tensor(reference[1::2]),
    }
    loss = DPOTrainer._compute_loss(stub, model, inputs, False)
    return loss, {name: values[-1] for name, values in metrics.items() if name.startswith(("rewards", "logps"))}


@pytest.mark.parametrize("beta", [0.1, 0.3])
def test_loss_gradient_and_what_is_logged_are_trls(pack: Pack, nlls: torch.Tensor, beta: float):
    pytest.importorskip("trl")
    ours = objective(REFERENCE, beta)(nlls, pack)
    [gradient] = torch.autograd.grad(ours.sum / 3, nlls)
    theirs, logged = trl_loss(list(nlls.split(NUM_SCORED)), REFERENCE, ["sigmoid"], [1.0], beta)
    [their_gradient] = torch.autograd.grad(theirs, nlls)
    assert ours.sum.item() / 3 == pytest.approx(theirs.item(), rel=1e-6)
    torch.testing.assert_close(gradient, their_gradient, rtol=1e-5, atol=1e-8)
    assert set(logged) <= set(ours.logged)
    for name, value in logged.items():
        total, count = ours.logged[name]
        assert total / count == pytest.approx(value, rel=1e-5), name


def test_the_nll_term_of_one_pair_is_trls(nlls: torch.Tensor):
    """TRL's mean runs over the batch's tokens, ours over each answer's: the same for a single pair."""
    pytest.importorskip("trl")
    chosen, rejected, *_ = nlls.split(NUM_SCORED)
    pair_P = torch.cat((chosen, rejected))
    ours = objective(REFERENCE[:2], 0.1, 0.5)(pair_P, pack_of(*NUM_SCORED[:2])).sum
    theirs, _ = trl_loss([chosen, rejected], REFERENCE[:2], ["sigmoid", "sft"], [1.0, 0.5], 0.1)
    assert ours.item() == pytest.approx(theirs.item(), rel=1e-6)
    gradients = [torch.autograd.grad(loss, nlls, retain_graph=True)[0] for loss in (ours, theirs)]
    torch.testing.assert_close(*gradients, rtol=1e-5, atol=1e-8)


def test_far_margins_stay_finite():
    """A thousand nats to either side: the loss is linear or nought, its gradient beta or nought."""
    for sign, loss, gradient in ((1, 0.0, 0.0), (-1, 500.0, -0.5)):
        chosen = torch.tensor([1000.0 * sign], requires_grad=True)
        losses = dpo_losses(chosen, torch.zeros(1), 0.5)
        losses.sum().backward()
        assert losses.item() == pytest.approx(loss, abs=1e-6)
        assert chosen.grad is not None
        assert chosen.grad.item() == pytest.approx(gradient, abs=1e-6)


def test_by_hand():
    assert dpo_losses(torch.tensor([1.0]), torch.tensor([-1.0]), 0.5).item() == pytest.approx(0.3132617)


def test_the_untrained_policy_loses_log_2(pack: Pack, nlls: torch.Tensor):
    """Policy and reference are one: every margin is nought, and no pair counts as won."""
    own = sequence_logps(nlls, pack).tolist()
    logged = objective(own)(nlls, pack).logged
    assert logged["loss"] == (pytest.approx(3 * math.log(2)), 3.0)
    assert logged["rewards/accuracies"] == (0.0, 3.0)
    assert logged["kl"] == (pytest.approx(0.0, abs=1e-6), float(sum(NUM_SCORED)))


def test_kl_is_the_mean_log_ratio_of_the_answers_tokens(pack: Pack, nlls: torch.Tensor):
    own = sequence_logps(nlls, pack)
    total, count = objective(REFERENCE)(nlls, pack).logged["kl"]
    assert total / count == pytest.approx((own.sum().item() - sum(REFERENCE)) / 20, rel=1e-5)


@pytest.mark.parametrize("nll_weight", [0.0, 0.5])
def test_a_pack_whose_recordings_were_all_refused_costs_nothing(nll_weight: float):
    nothing = torch.zeros(0, requires_grad=True)
    loss = objective([], nll_weight=nll_weight)(nothing, make_pack([]))
    loss.sum.backward()  # it has a graph still: no rank waits for another
    assert loss.sum.item() == 0.0
    assert objective([]).count(make_pack([])) == 0.0


def test_what_is_no_pair_or_no_setting(pack: Pack, nlls: torch.Tensor):
    assert objective(REFERENCE).count(pack) == 3
    with pytest.raises(ValueError, match="3 sequences make no pairs"):
        objective(REFERENCE).count(pack_of(1, 1, 1))
    with pytest.raises(UserError, match=r"dpo.beta must lie in \(0, 1\]: got 0"):
        objective(REFERENCE, beta=0)
    with pytest.raises(UserError, match=r"dpo.nll_weight must not be negative: got -1"):
        objective(REFERENCE, nll_weight=-1)


RECORDING, OTHER = Recording(Path("a.wav")), Recording(Path("b.wav"))
TURNS = (Message("user", (Audio(), "What?")), Message("assistant", ("Rain.",)), Message("user", ("Sure?",)))


def preference(number: int = 0, dimension: str | None = None, **changed: object) -> Preference:
    fields = {"rejected_recordings": None} | changed
    return Preference(f"m:{number}", str(number), "s", (RECORDING,), TURNS, "Yes.", "No.", dimension, **fields)  # type: ignore[arg-type]


def test_a_preference_is_two_conversations_of_one_recording(tokenizer: Tokenizer):
    chosen, rejected = dpo_make(preference(dimension="factual"), np.random.default_rng(0))
    assert chosen.prompt == (*TURNS, Message("assistant", ("Yes.",)))
    assert rejected.prompt == (*TURNS, Message("assistant", ("No.",)))
    assert chosen.recordings is rejected.recordings
    assert chosen.answer is rejected.answer is None
    assert chosen.supervised == rejected.supervised == (False, True)
    assert chosen.task == "factual"
    assert dpo_make(preference(), np.random.default_rng(0))[0].task == "preference"
    own = dpo_make(preference(rejected_recordings=(OTHER,)), np.random.default_rng(0))
    assert [example.recordings for example in own] == [(RECORDING,), (OTHER,)]


def test_what_is_no_preference_is_refused():
    line = Labelled("m:3", "3", "s", (RECORDING,), "asr", "hello")
    with pytest.raises(UserError, match="m:3: dpo learns from preferences"):
        dpo_make(line, np.random.default_rng(0))


def source(name: str, weight: float, **num: int) -> Source:
    dimensions = [None if dimension == "none" else dimension for dimension, n in num.items() for _ in range(n)]
    return Source(name, [preference(number, dimension) for number, dimension in enumerate(dimensions)], weight)


def weights(sources: list[Source], shares: tuple[float, ...] = (0.4, 0.3, 0.2, 0.1)) -> dict[str, float]:
    return {part.name: pytest.approx(part.weight) for part in by_dimension(sources, shares)}


def test_shares_by_hand():
    assert weights([source("a", 2.0, factual=1, instruction=5, safety=3, helpfulness=1)]) == {
        "a/factual": 0.4,
        "a/instruction": 0.3,
        "a/safety": 0.2,
        "a/helpfulness": 0.1,
    }
    two = [source("a", 3.0, factual=2, safety=1), source("b", 1.0, factual=4)]  # factual: 2 of a's 3, all of b's 1
    assert weights(two) == {"a/factual": 2 / 3 * 2 / 3, "b/factual": 2 / 3 / 3, "a/safety": 1 / 3}
    assert weights([source("a", 1.0, none=5), source("b", 3.0, safety=2)]) == {"a": 0.25, "b/safety": 0.75}
    assert weights([source("a", 1.0, none=5), source("b", 3.0, none=2)]) == {"a": 0.25, "b": 0.75}
    assert weights([source("a", 1.0, factual=1, safety=1)], (1.0, 1.0, 0.0, 0.0)) == {"a/factual": 1.0}


@given(
    nums=st.lists(st.lists(st.integers(0, 4), min_size=5, max_size=5).filter(any), min_size=1, max_size=3),
    own=st.lists(st.floats(0.1, 10), min_size=3, max_size=3),
)
def test_shares_hold_for_any_sources(nums: list[list[int]], own: list[float]):
    names = (*DIMENSIONS, "none")
    sources = [
        source(f"s{number}", weight, **dict(zip(names, counts, strict=True)))
        for number, (counts, weight) in enumerate(zip(nums, own, strict=False))
    ]
    parts = by_dimension(sources, (0.4, 0.3, 0.2, 0.1))
    assert sum(part.weight for part in parts) == pytest.approx(1)
    ids = Counter((part.name.split("/")[0], record.id) for part in parts for record in part.records)
    assert ids == Counter((one.name, record.id) for one in sources for record in one.records)  # each record once
    drawn = Counter[str]()
    for part in parts:
        assert {record.dimension for record in part.records} == {part.name.partition("/")[2] or None}
        drawn[part.name.partition("/")[2]] += part.weight
    if drawn["factual"] and drawn["helpfulness"]:
        assert drawn["factual"] / drawn["helpfulness"] == pytest.approx(4)


def test_records_of_unlike_weight_keep_it():
    """Two factual records drawn 1 : 3 beside a safe one drawn 4: half of the source's draws each."""
    records = [preference(number, name) for number, name in enumerate(("factual", "safety", "factual"))]
    unnamed = Source("b", [preference(), preference()], 1.0, [1.0, 2.0])
    parts = {part.name: part for part in by_dimension([Source("a", records, 1.0, [1, 4, 3]), unnamed], (1, 1, 0, 0))}
    assert list(parts["a/factual"].record_weights or ()) == [1, 3]
    assert list(parts["b"].record_weights or ()) == [1.0, 2.0]
    assert parts["b"].weight == pytest.approx(0.5)
    assert parts["a/factual"].weight == pytest.approx(0.5)
    assert "a/safety" not in parts


def test_parts_are_sequences():
    [part] = by_dimension([source("a", 1.0, factual=3)], (1, 1, 1, 1))
    assert [record.id for record in part.records[1:]] == ["1", "2"]
    assert part.records[-1].id == "2"


@pytest.mark.parametrize("shares", [(1.0,), (0.0,) * 4, (-1.0, 1.0, 1.0, 1.0)])
def test_shares_that_are_none(shares: tuple[float, ...]):
    with pytest.raises(UserError, match=r"dpo.shares must be 4 numbers"):
        by_dimension([source("a", 1.0, factual=1)], shares)


def pair_pack(tokenizer: Tokenizer, texts: tuple[str, str], places: range, *, silent: bool = False) -> Pack:
    """Two kinds of sound, two answers: each sound prefers its own; without hearing, nobody could tell."""
    sequences = []
    for place in places:
        kind = place % 2
        generator = torch.Generator().manual_seed(place)
        features = torch.randn(16, units.kept_frames(24), generator=generator) * 0.3 + (1.0 if kind else -1.0)
        mel = Mel(torch.zeros_like(features) if silent else features, 24)
        for answer in (texts[kind], texts[1 - kind]):
            messages = (Message("user", (Audio(), "What is said?")), Message("assistant", (answer,)))
            prompt = render(messages, [units.tokens_from_frames(24)], tokenizer, open_turn=False)
            sequences.append((Prepared(prompt, (mel,)), Label("x", "s", "t", f"{place} {answer}")))
    return make_pack(sequences)


def test_twenty_steps_learn_to_prefer_what_is_heard(
    tokenizer: Tokenizer, tiny_model: Callable[..., Qwen2Audio], tmp_path: Path
):
    """The loss falls, the accuracy rises on sounds not trained on, and the reference is asked once for each pair."""
    model = tiny_model(seed=6).requires_grad_(True)
    trainee = Trainee(model)
    frozen = Trainee(tiny_model(seed=6))
    num_forwards = 0

    def nll(pack: Pack) -> torch.Tensor:
        nonlocal num_forwards
        num_forwards += 1
        return frozen(pack)

    cache = ContentCache(tmp_path / "logps.sqlite")
    objective = DpoObjective(Reference(cache, "frozen", nll), beta=0.1)
    texts = ("the lazy dog", "the quick fox")
    train = pair_pack(tokenizer, texts, range(8))
    heldout = pair_pack(tokenizer, texts, range(100, 116))
    silent = pair_pack(tokenizer, texts, range(200, 216), silent=True)
    optimizer = torch.optim.AdamW(trainee.parameters(), lr=3e-3)
    losses = []
    for _ in range(20):
        loss = objective(trainee(train), train)
        (loss.sum / objective.count(train)).backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.logged["loss"][0] / 8)
    assert num_forwards == 1
    logged = objective(trainee(heldout).detach(), heldout).logged
    unheard = objective(trainee(silent).detach(), silent).logged
    assert losses[0] == pytest.approx(math.log(2), abs=1e-5)
    assert losses[-1] < 0.35
    assert logged["rewards/accuracies"][0] / 16 > 0.8
    assert logged["rewards/margins"][0] > 0
    assert unheard["rewards/accuracies"][0] / 16 == 0.5  # the answers alone give nothing away
    cache.close()


def test_a_preference_that_turns_bad_keeps_its_place(tmp_path: Path):
    manifest = tmp_path / "p.jsonl"
    line = {"messages": [{"role": "user", "content": "Hi"}], "chosen": "a", "rejected": "b"}
    lines = [json.dumps(line | {"dimension": name}) + "\n" for name in ("factual", "safety", "factual")]
    manifest.write_text("".join(lines))
    factual, _ = by_dimension([Source("p", open_records(manifest), 1.0)], (1, 1, 1, 1))
    manifest.write_text("".join(lines[:2]) + "x" * (len(lines[2]) - 1) + "\n")
    with pytest.raises(UserError):
        factual.records[1]
    assert [where_of(factual.records, place) for place in range(2)] == [f"{manifest}:1", f"{manifest}:3"]
