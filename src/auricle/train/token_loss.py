"""Cross-entropy of supervised positions, a chunk of positions at a time.

Axes: P supervised positions, D width, V vocabulary.
"""

import torch
from torch.nn import functional


def token_nll(hidden_PD: torch.Tensor, head_VD: torch.Tensor, targets_P: torch.Tensor) -> torch.Tensor:
    """float32 [P]: -log softmax(hidden @ head.T)[target]."""
    return functional.cross_entropy((hidden_PD @ head_VD.T).float(), targets_P, reduction="none")
