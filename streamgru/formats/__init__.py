"""Weights of other frameworks, and our own file: bytes -> spec + tensors, converted once, here at the border."""
