"""Print what is counted: ``python -m tests.realtime.calm``."""

import tempfile
from pathlib import Path

from streamgru.kernels.packed import isas
from tests.realtime.calm.counting import N_STEPS, WHY_NOT, Counting, table


def main():
    if WHY_NOT:
        raise SystemExit(WHY_NOT)
    with tempfile.TemporaryDirectory() as folder:
        counting = Counting(Path(folder))
        for isa in isas():
            print(f"\n{isa}")
            print(*table(counting.run("networks", isa)), sep="\n")
        print("\nplanted in every step, to see that it is counted")
        print(*table(counting.run("plants", isas()[0], N_STEPS // 100)), sep="\n")


if __name__ == "__main__":
    main()
