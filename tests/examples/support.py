"""What the tests of the examples share."""

import importlib.util
import json
from pathlib import Path

EXAMPLES = Path(__file__).parents[2] / "examples"


def result(example):
    """What the training wrote down."""
    return json.loads((EXAMPLES / example / "result.json").read_text(encoding="utf-8"))


def module(example, name):
    """A file of an example, imported under a name of its own: several examples have a train.py."""
    spec = importlib.util.spec_from_file_location(f"{example}_{name}", EXAMPLES / example / f"{name}.py")
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found
