"""What small weights may cost: at most 1 decision of 200, on data that nothing was fitted to.

The figures are those of the benchmark, which is run as its users run it.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FIXTURES = Path(os.environ.get("STREAMGRU_FIXTURES", ROOT.parents[1] / "shared" / "fixtures"))
LARGEST_SHARE = 0.005


def measured(fixtures):
    """The rows of one run, by network, weights and kernel."""
    done = subprocess.run(
        [sys.executable, ROOT / "benchmarks" / "small_weights.py", "--json"], capture_output=True, check=True,
        timeout=110, env=os.environ | {"STREAMGRU_FIXTURES": str(fixtures)},
    )  # fmt: skip
    return {(row["network"], row["weights"], row["kernel"]): row for row in json.loads(done.stdout)}


def share(told):
    """The share in '2 of 465, 0.43%'."""
    changed, of, total = told.partition(",")[0].split()
    assert of == "of" and int(total) > 400
    return int(changed) / int(total)


def test_the_builtin_network(tmp_path):
    rows = measured(tmp_path)
    assert len(rows) == 10
    assert {network for network, _, _ in rows} == {"shoulder"}
    for key, row in rows.items():
        seen = key[1].partition("calibrated on ")[2]
        told = {name.removeprefix("decisions, "): told for name, told in row.items() if name.startswith("decisions")}
        assert told.keys() == {"1 to 3", "4 to 7"}
        assert {name for name, it in told.items() if it == "-"} == ({seen} if seen else set()), key
        shares = [share(it) for it in told.values() if it != "-"]
        assert max(shares) <= (1 / 5000 if key[1] == "float16" else LARGEST_SHARE), key


@pytest.mark.skipif(not FIXTURES.is_dir(), reason="fixtures are absent")
def test_letters_to_phonemes():
    rows = measured(FIXTURES)
    for kernel in ("blas", "packed"):
        half = rows["g2p_en", "float16", kernel]
        assert {told for key, told in half.items() if key.startswith("decisions")} and all(
            share(told) == 0 for key, told in half.items() if key.startswith(("decisions", "phonemes"))
        )
        calibrated = rows["g2p_en", "int8, calibrated on LICENSE", kernel]
        lists = [told for key, told in calibrated.items() if key.startswith("decisions")]
        assert len(lists) == 2
        assert all(share(told) <= LARGEST_SHARE for told in lists), calibrated
