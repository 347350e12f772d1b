"""Fuzz every format in turn: python -m tests.fuzz [--seconds N] [FORMAT ...].

For each: executions, the coverage that was reached, and what was found; such inputs stay in tests/fuzz/found.
The format `planted` has a bug, which has to be found.
"""

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.fuzz.targets import TARGETS

FOUND = Path(__file__).with_name("found")
TIMEOUT_S, MEMORY_MB, LONGEST = 10, 2048, 20_000


def fuzz(name, seconds):
    """Executions, coverage (edges), and where the input lies that was found, if one was."""
    with tempfile.TemporaryDirectory() as folder:
        corpus, artifacts = Path(folder, "corpus"), Path(folder, "found")
        corpus.mkdir()
        artifacts.mkdir()
        for i, seed in enumerate(TARGETS[name][1]()):
            (corpus / str(i)).write_bytes(seed)
        flags = {
            "max_total_time": seconds, "timeout": TIMEOUT_S, "rss_limit_mb": MEMORY_MB, "max_len": LONGEST,
            "artifact_prefix": f"{artifacts}/", "print_final_stats": 1, "verbosity": 1,
        }  # fmt: skip
        given = [f"-{key}={value}" for key, value in flags.items()]
        done = subprocess.run(
            [sys.executable, "-m", "tests.fuzz.one", name, str(corpus), *given],
            capture_output=True, text=True, errors="replace",
        )  # fmt: skip
        found = [kept(artifact, name) for artifact in sorted(artifacts.iterdir())]
    covered = re.findall(r"cov: (\d+)", done.stderr)
    runs = re.findall(r"^#(\d+)\s", done.stderr, re.M)
    if done.returncode and not found:
        sys.exit(f"{name}: the fuzzer itself failed:\n{done.stderr[-3000:]}")
    reason = re.findall(r"^\s*(?:=== )?.*(?:Error|Exception|timeout|out-of-memory).*$", done.stderr + done.stdout, re.M)
    return int(runs[-1]) if runs else 0, int(covered[-1]) if covered else 0, found, reason[-1].strip() if reason else ""


def kept(artifact, name):
    """An input that was found, where it stays."""
    FOUND.mkdir(exist_ok=True)
    return shutil.copy(artifact, FOUND / f"{name}-{artifact.name}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("formats", nargs="*", metavar="FORMAT", help=f"of {', '.join(TARGETS)}; all without one")
    parser.add_argument("--seconds", type=int, default=60, help="for each format (60)")
    arguments = parser.parse_args()
    bad = []
    print(f"{'format':12} {'executions':>12} {'edges':>7}")
    for name in arguments.formats or TARGETS:
        runs, covered, found, reason = fuzz(name, arguments.seconds)
        print(f"{name:12} {runs:12,} {covered:7,}  {'; '.join(map(str, found))} {reason}".rstrip(), flush=True)
        if bool(found) != (name == "planted"):
            bad.append(name)
    if bad:
        sys.exit(f"not as it should be: {', '.join(bad)}")


if __name__ == "__main__":
    main()
