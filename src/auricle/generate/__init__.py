"""Choosing tokens one after another: samplers, the loop, branches, beam search, and the score of given texts."""

from auricle.generate.branch import branch
from auricle.generate.loop import generate, stream
from auricle.generate.sampler import Sampler
from auricle.generate.score import score
from auricle.generate.stopping import StopStream, cut_at_stop
from auricle.generate.tokens import Generated, Token

__all__ = ["Generated", "Sampler", "StopStream", "Token", "branch", "cut_at_stop", "generate", "score", "stream"]
