"""Conversations and recordings to what the model reads: the host-side meeting place of audio and text."""

from auricle.prepare.collate import Prepared, collate
from auricle.prepare.pack import pack
from auricle.prepare.prompt import Prompt
from auricle.prepare.template import SpecialTokens, render, render_raw

__all__ = ["Prepared", "Prompt", "SpecialTokens", "collate", "pack", "render", "render_raw"]
