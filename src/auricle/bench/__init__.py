"""Ours beside Hugging Face transformers, alternating in one run, on the same weights, recordings and output tokens.

Read in this order: timing, sides, ours, theirs, measures, processes, run, report, chart. Importing this brings no
torch in: the fresh processes that measure importing and memory start here.
"""
