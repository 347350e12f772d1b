"""Codecs: bytes -> rows, predictions -> bytes."""
