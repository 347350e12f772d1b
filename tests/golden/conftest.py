"""Makes the oracles importable, whichever folder pytest was asked for."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
