"""A batch says what its prompts say one by one: many random prompts, several shapes, 0, 1 and 3 recordings."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from auricle import units
from auricle.audio import Mel
from auricle.conversation import Sampling
from auricle.generate import Generated, generate
from auricle.model import Qwen2Audio
from auricle.prepare import Prepared, Prompt, collate

NUM_PROMPTS, NUM_NEW, BATCH = 210, 8, 35
HESITATION = 1e-4  # between the two likeliest tokens' log-probabilities
STOP_IDS = frozenset(range(100, 110))


def prompt(index: int, audio_token_id: int) -> Prepared:
    """1 to 12 text tokens around each of 0, 1 or 3 recordings of 0.05 to 0.8 s."""
    generator = torch.Generator().manual_seed(index)

    def between(low: int, high: int) -> int:
        return int(torch.randint(low, high, (), generator=generator))

    ids = torch.randint(1, 300, (between(1, 12),), generator=generator).tolist()
    mels, spans = [], []
    for _ in range((0, 1, 3)[index % 3]):
        num_frames = between(5, 80)
        mels.append(Mel(torch.randn(16, units.kept_frames(num_frames), generator=generator), num_frames))
        spans.append((len(ids), len(ids) + units.tokens_from_frames(num_frames)))
        ids += [audio_token_id] * units.tokens_from_frames(num_frames)
        ids += torch.randint(1, 300, (between(1, 12),), generator=generator).tolist()
    return Prepared(Prompt(tuple(ids), (False,) * len(ids), tuple(spans)), tuple(mels))


def differing(alone: list[Generated], together: list[Generated]) -> tuple[int, int]:
    """How many answers differ, and how many of those differ first where the two likeliest tokens are not close."""
    different = unexplained = 0
    for one, other in zip(alone, together, strict=True):
        if one.ids == other.ids and one.finish_reason == other.finish_reason:
            continue
        different += 1
        same = sum(1 for a, b in zip(one.ids, other.ids, strict=False) if a == b)
        first = one.tokens[same : same + 1] or other.tokens[same : same + 1]
        (_, best), (_, second) = first[0].top
        unexplained += best - second >= HESITATION
    return different, unexplained


@pytest.mark.parametrize(
    ("shape", "settings"),
    [
        ({}, Sampling()),
        ({"num_kv_heads": 4, "tied_head": True}, Sampling(repetition_penalty=1.2)),
        ({}, Sampling(temperature=1.0, top_k=20, top_p=0.9, seed=5)),
    ],
    ids=["GQA greedy", "MHA penalty", "GQA drawn"],
)
def test_one_by_one_and_together(tiny_model: Callable[..., Qwen2Audio], shape: dict[str, int], settings: Sampling):
    model = tiny_model(seed=9, **shape)
    sampling = replace(settings, max_new_tokens=NUM_NEW, logprobs=2)
    items = [prompt(index, model.config.audio_token_id) for index in range(NUM_PROMPTS)]

    def answers(size: int) -> list[Generated]:
        rows = []
        for start in range(0, NUM_PROMPTS, size):
            inputs = collate(items[start : start + size], pad_id=0)
            indices = range(start, start + size)
            rows += generate(model, inputs, sampling, stop_ids=STOP_IDS, indices=indices)
        return rows

    alone, together = answers(1), answers(BATCH)
    num_tokens = sum(len(row.ids) for row in alone)
    different, unexplained = differing(alone, together)
    assert unexplained == 0
    assert different <= num_tokens / 1000
    assert len({tuple(row.ids) for row in alone}) > NUM_PROMPTS * 0.9
    assert {row.finish_reason for row in alone} == {"stop", "length"}
    shifted, _ = differing(alone[:-1], together[1:])
    assert shifted > NUM_PROMPTS * 0.9  # negative control: another prompt's answer is another answer
