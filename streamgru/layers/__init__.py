"""Layers: each moves one layer of one stream forward by one timestep."""
