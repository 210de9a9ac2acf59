"""Choosing tokens one after another: the samplers and the one decoding loop."""

from auricle.generate.loop import Generated, Step, generate, stream
from auricle.generate.sampler import Sampler

__all__ = ["Generated", "Sampler", "Step", "generate", "stream"]
