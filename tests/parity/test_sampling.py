"""Each step of the sampler against transformers' logits processors: the same scores, the same tokens left, ties too."""

from dataclasses import replace

import pytest
import torch
from transformers import (
    LogitsProcessorList,
    MinNewTokensLengthLogitsProcessor,
    MinPLogitsWarper,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from auricle.conversation import Sampling
from auricle.generate import Sampler
from auricle.generate.sampler import bar, likeliest, near_best, nucleus, penalise_repetition
from auricle.model import ModelInput

pytestmark = pytest.mark.parity

ROWS, VOCABULARY, NUM_DRAWS = 16, 600, 10_000
NO_IDS = torch.zeros(ROWS, 0, dtype=torch.int64)


@pytest.fixture(params=["different", "ties", "equals"])
def logits(request: pytest.FixtureRequest) -> torch.Tensor:
    """[rows, vocabulary]: all different; rounded as bfloat16 rounds them, with hundreds of ties; one value alone."""
    drawn = 3 * torch.randn(ROWS, VOCABULARY, generator=torch.Generator().manual_seed(0))
    return {
        "different": drawn,
        "ties": drawn.bfloat16().float().mul(2).round(),
        "equals": torch.ones(ROWS, VOCABULARY),
    }[request.param]


def whole(logits_BC: torch.Tensor, ids_BC: torch.Tensor) -> torch.Tensor:
    """Candidates back in their places, minus infinity in all others."""
    return torch.full((len(logits_BC), VOCABULARY), -torch.inf).scatter(1, ids_BC, logits_BC)


@pytest.mark.parametrize("top_k", [1, 2, 20, 599, 600, 5000])
def test_top_k(logits: torch.Tensor, top_k: int) -> None:
    assert whole(*likeliest(logits, top_k)).equal(TopKLogitsWarper(top_k)(NO_IDS, logits))


@pytest.mark.parametrize("top_p", [1e-6, 0.1, 0.5, 0.83, 0.99, 0.9999])
def test_top_p(logits: torch.Tensor, top_p: float) -> None:
    """Which of several equals at the edge are left is chance there, how many of them is not."""
    ours, theirs = nucleus(logits, top_p), TopPLogitsWarper(top_p)(NO_IDS, logits)
    assert ours.sort().values.equal(theirs.sort().values)
    if not any(len(row.unique()) < VOCABULARY for row in logits):
        assert ours.equal(theirs)


@pytest.mark.parametrize("min_p", [0.001, 0.05, 0.3, 0.97])
def test_min_p(logits: torch.Tensor, min_p: float) -> None:
    assert near_best(logits, min_p).equal(MinPLogitsWarper(min_p)(NO_IDS, logits))


@pytest.mark.parametrize("penalty", [0.6, 1.1, 5.0])
def test_repetition_penalty(logits: torch.Tensor, penalty: float) -> None:
    seen = torch.randint(0, 40, (ROWS, 30), generator=torch.Generator().manual_seed(1))
    assert penalise_repetition(logits, seen, penalty).equal(RepetitionPenaltyLogitsProcessor(penalty)(seen, logits))


def test_min_new_tokens(logits: torch.Tensor) -> None:
    theirs = MinNewTokensLengthLogitsProcessor(0, 3, [5, 17], device="cpu")(NO_IDS, logits)
    assert bar(logits, torch.tensor([5, 17])).equal(theirs)


SETTINGS = [
    Sampling(temperature=0.7, top_k=20, top_p=0.5, repetition_penalty=1.1),  # the released model's own
    Sampling(temperature=1.4, top_k=50, top_p=0.9, min_p=0.1, min_new_tokens=5),
    Sampling(temperature=0.9, top_p=0.6, min_p=0.05, repetition_penalty=1.3),
]


@pytest.mark.parametrize("sampling", SETTINGS, ids=range(len(SETTINGS)))
def test_draws_follow_the_whole_chain(sampling: Sampling) -> None:
    """10,000 draws against the chain of transformers, and refuted by the same steps in the opposite order."""
    logits = 2 * torch.randn(1, VOCABULARY, generator=torch.Generator().manual_seed(3))
    prompt = torch.randint(0, VOCABULARY, (1, 200), generator=torch.Generator().manual_seed(4))
    stop_ids = logits.topk(2).indices[0].tolist()
    chain = [
        RepetitionPenaltyLogitsProcessor(sampling.repetition_penalty),
        MinNewTokensLengthLogitsProcessor(200, sampling.min_new_tokens, stop_ids, device="cpu"),
        TemperatureLogitsWarper(sampling.temperature),
        TopKLogitsWarper(sampling.top_k or VOCABULARY),
        TopPLogitsWarper(sampling.top_p),
        MinPLogitsWarper(sampling.min_p),
    ]
    inputs = ModelInput(
        prompt.expand(NUM_DRAWS, -1),
        torch.ones_like(prompt, dtype=torch.bool).expand(NUM_DRAWS, -1),
        torch.zeros(0, 0, 0),
        torch.zeros(0, dtype=torch.int64),
    )
    sampler = Sampler(replace(sampling, seed=0), inputs, stop_ids=frozenset(stop_ids), indices=range(NUM_DRAWS))
    counts = sampler.choose(logits.expand(NUM_DRAWS, -1)).bincount(minlength=VOCABULARY)
    for steps, expected in ((chain, True), (chain[::-1], False)):
        theirs = LogitsProcessorList(steps)(prompt, logits).softmax(dim=-1)[0]
        assert (theirs > 0).sum() > 3
        assert fits(counts, theirs) is expected


def fits(counts: torch.Tensor, probabilities: torch.Tensor) -> bool:
    """Pearson's chi-square test at the 0.1 % level; a token that cannot be drawn may not be drawn once."""
    possible = probabilities > 0
    expected = probabilities[possible] * counts.sum()
    half = ((counts[possible] - expected) ** 2 / expected).sum() / 2
    p_value = torch.special.gammaincc((possible.sum() - 1) / 2, half)
    return not counts[~possible].any() and bool(p_value > 1e-3)
