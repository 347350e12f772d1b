"""The documents say what the code does. ``python tests/test_docs.py`` writes what is generated."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from mqtt_peers import MOSQUITTO, free_port
from streamgru.adapters.options import Options, describe, sample

from streamgru_mqtt.options import SinkOptions, SourceOptions

HERE = Path(__file__).resolve().parent.parent
README = HERE / "README.md"
SAMPLE = HERE / "sample.toml"
HEADINGS = [
    "Install",
    "Configuration",
    "Records",
    "Delivery and ordering",
    "Example",
    "Troubleshooting",
]
KINDS: dict[str, type[Options]] = {"source": SourceOptions, "sink": SinkOptions}


def table(options_type: type[Options]) -> str:
    lines = ["| option | type | default | |", "|--|--|--|--|"]
    for item in describe(options_type):
        kind = item.type.replace("|", "\\|")
        lines.append(f"| `{item.name}` | {kind} | `{item.default}` | {item.description} |")
    return "\n".join(lines)


def with_tables(text: str) -> str:
    for name, options_type in KINDS.items():
        block = f"<!-- {name} -->\n{table(options_type)}\n<!-- end -->"
        text = re.sub(rf"<!-- {name} -->\n.*?<!-- end -->", lambda _, block=block: block, text, flags=re.DOTALL)
    return text


def sample_file() -> str:
    parts = [f"[{name}]\n\n{sample(options_type)}" for name, options_type in KINDS.items()]
    return "# Options of mqtt:// and mqtts://, with their defaults.\n\n" + "\n".join(parts)


def test_headings() -> None:
    assert re.findall(r"(?m)^## (.*)$", README.read_text()) == HEADINGS


def test_tables_are_up_to_date() -> None:
    text = README.read_text()
    assert with_tables(text) == text


def test_sample_is_up_to_date() -> None:
    text = SAMPLE.read_text()
    assert text == sample_file()
    parsed = tomllib.loads(re.sub(r"(?m)^# (?=\w+ = )", "", text))
    for name, options_type in KINDS.items():
        defaults = {item.name: getattr(options_type(), item.name) for item in describe(options_type)}
        assert parsed[name] == defaults


def test_list_of_plugins() -> None:
    with (HERE / "pyproject.toml").open("rb") as file:
        project = tomllib.load(file)["project"]
    row = (
        f"| [{project['name']}]({HERE.name}/README.md) | `mqtt://` `mqtts://` | yes | yes | {project['description']} |"
    )
    assert row in (HERE.parent / "README.md").read_text().splitlines()
    assert {name for points in project["entry-points"].values() for name in points} == {"mqtt", "mqtts"}


def test_every_file_is_short_and_stands_on_the_contract_alone() -> None:
    for path in (HERE / "streamgru_mqtt").glob("*.py"):
        text = path.read_text()
        assert len(text.splitlines()) <= 200, path
        imported = set(re.findall(r"(?:from|import) (streamgru(?:\.\w+)*)\b(?!_)", text))
        assert all(re.match(r"streamgru\.(adapters|errors)\b", name) for name in imported), path


def test_example(tmp_path: Path) -> None:
    if MOSQUITTO is None:
        pytest.skip("needs mosquitto")
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}:{Path(MOSQUITTO).parent}"
    if shutil.which("streamgru", path=path) is None:
        pytest.skip("needs the streamgru command")
    section = README.read_text().split("## Example")[1].split("## Troubleshooting")[0]
    commands = re.findall(r"```sh\n(.*?)```", section, flags=re.DOTALL)
    expected = section.split("It prints")[1].strip().strip("`\n")
    script = tmp_path / "example.sh"
    stop = "trap 'kill $(jobs -p) 2> /dev/null; wait' EXIT\n"
    script.write_text("set -em\n" + stop + "".join(commands).replace("1883", str(free_port())))
    done = subprocess.run(
        ["bash", script], env=os.environ | {"PATH": path}, cwd=tmp_path, capture_output=True, text=True, timeout=90
    )
    assert sorted(done.stdout.splitlines()) == sorted(expected.splitlines()), done.stderr


if __name__ == "__main__":
    README.write_text(with_tables(README.read_text()))
    SAMPLE.write_text(sample_file())
