"""Stage 3: direct preference optimisation (Rafailov et al. 2023, equation 7), and its pairs.

Axes: P supervised positions, S sequences, N pairs.
"""

from dataclasses import replace

import numpy as np
import torch
from torch.nn import functional

from auricle.conversation import Message
from auricle.data import Example, Group, Pack, Preference, Record
from auricle.errors import UserError
from auricle.train.objective import Loss
from auricle.train.reference import Reference, sequence_logps, split_by_sequence


class DpoObjective:
    """-log sigmoid(beta * ((pi_w - ref_w) - (pi_l - ref_l))), a sum over pairs; pi and ref are log-probabilities of
    whole answers, w the preferred one and l the other.

    Logged under TRL's names: `rewards/chosen` and `rewards/rejected` (beta times policy less reference),
    `rewards/margins`, `rewards/accuracies`, `logps/chosen`, `logps/rejected`, `loss`; with `nll_weight` also `nll`.
    `kl` is the mean of log(policy / reference) over the answers' tokens, in nats: it estimates the divergence from
    the reference where the policy drew the answers itself (rollouts); elsewhere it is a measure of drift that may be
    negative.

    Args:
        reference: knows, or computes, the frozen model's log-probabilities.
        beta: how dear it is to leave the reference; the brief's 0.1, at most 0.5.
        nll_weight: of the chosen answer's mean negative log-likelihood per token, added to each pair's loss.
    """

    def __init__(self, reference: Reference, *, beta: float = 0.1, nll_weight: float = 0.0) -> None:
        if not 0 < beta <= 1:
            raise UserError(f"dpo.beta must lie in (0, 1]: got {beta}; 0.1 to 0.5 is usual")
        if not 0 <= nll_weight < float("inf"):
            raise UserError(f"dpo.nll_weight must not be negative: got {nll_weight}; 0 leaves the term out")
        self.reference = reference
        self._beta = beta
        self._nll_weight = nll_weight

    def count(self, pack: Pack) -> float:
        """Pairs."""
        if len(pack.labels) % 2:
            raise ValueError(f"{len(pack.labels)} sequences make no pairs; expected chosen and rejected in turn")
        return len(pack.labels) / 2

    def __call__(self, nll_P: torch.Tensor, pack: Pack) -> Loss:
        """The sum over the pack's pairs."""
        num_pairs = self.count(pack)
        logps_S = sequence_logps(nll_P, pack)
        ratios_S = logps_S - self.reference.logps(pack).to(logps_S)
        losses_N = dpo_losses(ratios_S[0::2], ratios_S[1::2], self._beta)
        logged = {name: (sum_, num_pairs) for name, sum_ in self._rewards(logps_S.detach(), ratios_S.detach()).items()}
        logged["kl"] = (ratios_S.detach().sum().item(), float(len(nll_P)))
        total = losses_N.sum()
        if self._nll_weight and pack.labels:
            nll = torch.stack([part.mean() for part in split_by_sequence(nll_P, pack)[0::2]]).sum()
            logged["nll"] = (nll.item(), num_pairs)
            total = total + self._nll_weight * nll
        logged["loss"] = (total.item(), num_pairs)
        return Loss(total, logged)

    def _rewards(self, logps_S: torch.Tensor, ratios_S: torch.Tensor) -> dict[str, float]:
        """Sums over the pairs."""
        chosen_N, rejected_N = self._beta * ratios_S[0::2], self._beta * ratios_S[1::2]
        return {
            "rewards/chosen": chosen_N.sum().item(),
            "rewards/rejected": rejected_N.sum().item(),
            "rewards/margins": (chosen_N - rejected_N).sum().item(),
            "rewards/accuracies": float((chosen_N > rejected_N).sum().item()),
            "logps/chosen": logps_S[0::2].sum().item(),
            "logps/rejected": logps_S[1::2].sum().item(),
        }


def dpo_losses(chosen_N: torch.Tensor, rejected_N: torch.Tensor, beta: float) -> torch.Tensor:
    """Log-ratios policy to reference of the preferred and the other answers [N] -> each pair's loss [N].

    Worked example: ratios 1 and -1 at beta 0.5: -log sigmoid(1) = 0.3133.
    """
    return -functional.logsigmoid(beta * (chosen_N - rejected_N))


def dpo_make(record: Record, rng: np.random.Generator) -> Group:
    """`Make`: a preference -> the conversation with the preferred answer and with the other; the last answer counts.

    Both hold the same recordings (unless the data give the rejected answer its own), so that a pack hears them once.

    Raises:
        UserError: the record is no preference.
    """
    if not isinstance(record, Preference):
        raise UserError(
            f"{record.where}: dpo learns from preferences; got a line without a chosen and a rejected answer"
        )
    chosen = Example(
        (*record.messages, Message("assistant", (record.chosen,))),
        None,
        record.recordings,
        record.where,
        record.source,
        record.dimension or "preference",
        (*[False] * sum(message.role == "assistant" for message in record.messages), True),
    )
    rejected = replace(
        chosen,
        prompt=(*record.messages, Message("assistant", (record.rejected,))),
        recordings=record.recordings if record.rejected_recordings is None else record.rejected_recordings,
    )
    return chosen, rejected
