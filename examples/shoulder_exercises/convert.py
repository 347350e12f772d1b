"""Convert the trained network to the native file that the package carries; torch is not needed."""

from __future__ import annotations

import json
from pathlib import Path

import click
import numpy as np
from recordings import CHANNELS, LABELS
from safetensors.numpy import load_file

from streamgru.formats import native
from streamgru.formats.builtin import recordings
from streamgru.model import spec as s
from streamgru.stream.model import Model

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
EVERY = 25  # timesteps between those that the golden file keeps
ORIGIN = (
    "examples/shoulder_exercises, seed {seed}; trained on people {people} of watch_dataset.npy in the Python "
    "package seglearn 1.2.5 (BSD-3-Clause, copyright 2018 David M. Burns)"
)


def convert(state: dict[str, np.ndarray], origin: str) -> tuple[s.Spec, dict[str, np.ndarray]]:
    """Return the spec and the tensors, by their native names, of a ``state_dict`` that ``train.py`` wrote."""
    layers: list[s.AnyLayer] = [s.Scale(name="scale")]
    tensors = {name: state[name] for name in state if not name.startswith("gru.")}
    if "dense.weight" in state:
        layers.append(s.Dense(name="dense", n_out=len(state["dense.weight"]), function="relu"))
    for i in range(sum(name.startswith("gru.weight_hh") for name in state)):
        layers.append(s.Gru(name=f"gru.{i}", n_hid=state[f"gru.weight_hh_l{i}"].shape[1]))
        for tensor in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
            tensors[f"gru.{i}.{tensor}"] = state[f"gru.{tensor}_l{i}"]
    layers += [s.Dense(name="head", n_out=len(LABELS)), s.Softmax(name="softmax")]
    program = s.Program(
        inputs=(s.Input(name="imu", size=len(CHANNELS), features=CHANNELS),),
        layers=tuple(layers),
        outputs=(s.Output(name="exercise", labels=tuple(LABELS.values())),),
    )
    spec = s.Spec(
        programs={"main": program}, title="Shoulder exercises from a wrist watch, 50 timesteps a second", origin=origin
    )
    return spec, tensors


@click.command()
@click.option("--trained", type=click.Path(path_type=Path), default=HERE, help="Where train.py wrote.")
@click.option("--out", type=click.Path(path_type=Path), default=ROOT / "streamgru/data/shoulder.safetensors")
@click.option("--reference", type=click.Path(path_type=Path), help="Torch's outputs, by export_holdout.py.")
@click.option("--golden", type=click.Path(path_type=Path), help="Where to keep some of them for the tests.")
def main(trained: Path, out: Path, reference: Path | None, golden: Path | None) -> None:
    """Write the native file; compare it with torch's outputs, if they are given."""
    result = json.loads((trained / "result.json").read_text())
    people = ", ".join(map(str, result["split"]["trained_on"]))
    origin = ORIGIN.format(seed=result["seed"], people=people)
    spec, tensors = convert(load_file(trained / "shoulder.torch.safetensors"), origin)
    native.write(out, spec, tensors)
    click.echo(f"{out.name}: {out.stat().st_size} bytes")
    if reference is None:
        return
    model = Model(spec, tensors)
    y = np.concatenate([model.stream().run(item.x) for item in recordings().items])
    with np.load(reference, allow_pickle=False) as file:
        y32, y64 = file["y32"], file["y64"]
    click.echo(f"from torch's float32 by {np.abs(y - y32).max():.1e}, from its float64 by {np.abs(y - y64).max():.1e}")
    if golden is not None:
        np.savez_compressed(golden, every=np.int64(EVERY), y32=y32[::EVERY], y64=y64[::EVERY])
        click.echo(f"{golden.name}: {golden.stat().st_size} bytes")


if __name__ == "__main__":
    main()
