"""Transcriptions and translations of whole recordings."""
