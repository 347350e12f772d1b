"""Writes tests/golden/bits_1.json: `python -m tests.kernels.simd.golden`.

Only for a new case, or together with a new number in SG_BITS: these hashes are what `bits: 1` promises.
"""

import json
import tempfile
from pathlib import Path

from tests.kernels.simd import build


def main():
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        driver = build.link(folder / "driver", "driver.c", build.compile_kernels(folder))
        answers = {isa: build.hashes(driver, isa) for isa in build.isas(driver)}
    first, *others = answers.values()
    if any(other != first for other in others):
        raise SystemExit("the instruction sets of this CPU do not agree; nothing is written")
    build.GOLDEN.write_text(json.dumps({"bits": 1, "hashes": first}, indent=1) + "\n")
    print(f"{build.GOLDEN.name}: {len(first)} cases, the same on {', '.join(answers)}")


if __name__ == "__main__":
    main()
