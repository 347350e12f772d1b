"""Oracles: references that import nothing of streamgru."""
