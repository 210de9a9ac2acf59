"""Texts as the published scripts and as our strict mode compare them."""
