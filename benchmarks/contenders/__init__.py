"""Who is timed. A module per runtime, each with ``contenders(network, x)``."""
