"""Choosing tokens one after another: samplers, the running batch, branches, beam search, and scores of given texts."""

from auricle.generate.branch import branch
from auricle.generate.forward import Prefilled, Prefix, read, read_on
from auricle.generate.loop import generate, stream
from auricle.generate.running import RunningBatch, Said
from auricle.generate.sampler import Sampler
from auricle.generate.score import score
from auricle.generate.stopping import StopStream, cut_at_stop
from auricle.generate.tokens import Generated, Token

__all__ = [
    "Generated",
    "Prefilled",
    "Prefix",
    "RunningBatch",
    "Said",
    "Sampler",
    "StopStream",
    "Token",
    "branch",
    "cut_at_stop",
    "generate",
    "read",
    "read_on",
    "score",
    "stream",
]
