"""From a file, or from a PyTorch module, to a Model."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from typing import Any

from streamgru.formats.read import read, read_spec
from streamgru.formats.torch import map_tensors
from streamgru.formats.torch_module import describe, state_dict
from streamgru.model.spec import Spec
from streamgru.stream.model import Model
from streamgru.stream.torch_check import check

_log = logging.getLogger("streamgru.load")


def load(
    src: str | os.PathLike[str] | bytes,
    *,
    kernel: str = "auto",
    dtype: str = "float32",
    spec: Spec | str | os.PathLike[str] | None = None,
    map: str | os.PathLike[str] | Mapping[str, Any] | None = None,
    blas_threads: int | None = 1,
) -> Model:
    """Load a network; nothing in the file is executed.

    Parameters
    ----------
    src : str, path-like or bytes
        A file, or its bytes: a native ``.safetensors``, one with the ``state_dict`` of a PyTorch module
        of GRU layers with a linear head, a PyTorch checkpoint (``.pt``, ``.pth``) with such a ``state_dict``, a
        ``.keras`` or ``.h5`` of Keras, or an ONNX file. What it is, its contents decide, not its name.
        ``builtin:shoulder`` is the network that comes with the package.
    kernel, dtype, blas_threads
        As for :class:`Model`.
    spec : Spec, str or path-like, optional
        What the network is, or a TOML or JSON file that tells it, where the tensors alone do not.
        The error that asks for it contains one, ready to be filled in.
    map : str, path-like or mapping, optional
        For a ``.npz``, ``.safetensors`` or ``.h5`` file of bare arrays: a TOML or JSON file, or the same data in
        Python, that tells what the network is, which array is what, and by which convention.

    Returns
    -------
    Model

    Raises
    ------
    FormatError
        If it cannot be read, or is not well-formed.
    SpecError
        If the tensors do not tell what the network is, or do not fit the spec.
    UnsupportedError
        If it is of a format, or holds a layer, that this version does not run.

    Notes
    -----
    What was found in the file goes to the logger ``streamgru.load``, at level INFO.
    """
    found = read(src, spec, map)
    for line in found.findings:
        _log.info(line)
    return Model(found.spec, found.tensors, dtype=dtype, kernel=kernel, blas_threads=blas_threads)


def from_torch(
    module: Any,
    *,
    kernel: str = "auto",
    dtype: str = "float32",
    spec: Spec | str | os.PathLike[str] | None = None,
    blas_threads: int | None = 1,
) -> Model:
    """Make a model of a PyTorch module, and check that it gives the same answers.

    The layers are those of the module's children, in the order in which they were registered:
    ``nn.GRU``, ``nn.GRUCell``, ``nn.Linear``, ``nn.Embedding``, ``nn.LayerNorm``, ``nn.BatchNorm1d``,
    ``nn.Conv1d``, ``nn.AvgPool1d``, ``nn.MaxPool1d``, ``nn.ConstantPad1d``, ``nn.Softmax``, and most
    activations. A copy of the module is then run over random input, and its answers are compared with
    the model's.

    Parameters
    ----------
    module : torch.nn.Module
        Stays as it is. The model keeps copies of its tensors: later training does not reach it.
    kernel, dtype, blas_threads
        As for :class:`Model`.
    spec : Spec, str or path-like, optional
        As for :func:`load`, where ``forward`` does more than its modules tell. It is checked as well.

    Raises
    ------
    SpecError
        If the answers differ, naming the worst difference and its step.
    UnsupportedError
        If the module has a part that this version has no layer for.
    """
    module = getattr(module, "_orig_mod", module)  # what torch.compile wraps
    if spec is None:
        found, tensors = describe(module)
    else:
        found = spec if isinstance(spec, Spec) else read_spec(spec)
        tensors, _ = map_tensors(found, state_dict(module))
    model = Model(found, tensors, dtype=dtype, kernel=kernel, blas_threads=blas_threads)
    check(module, model)
    return model
