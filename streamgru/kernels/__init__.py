"""Kernels: floats in, floats out. The bottom layer; plain C where it can be."""
