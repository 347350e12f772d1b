"""One hidden state and its owner."""

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from streamgru.stream.bound import Bound
from streamgru.stream.model import Model
from streamgru.stream.trace import Trace

class Stream:
    """One hidden state of a model, moved forward one timestep at a time.

    Made by :meth:`Model.stream <streamgru.Model.stream>`; it keeps its model alive.

    Thread-safety: one owner. A second thread that comes while a step is under way gets
    :class:`~streamgru.errors.StreamBusy`, and the state is never torn.
    """
    def __new__(cls, model: Model) -> Self: ...
    @property
    def model(self) -> Model: ...
    def step(
        self, x: ArrayLike | dict[str, ArrayLike], out: NDArray[np.floating[Any]] | None = None
    ) -> NDArray[np.floating[Any]] | Any:  # Any: None, of a network that does not answer at every step
        """Advance one timestep.

        Parameters
        ----------
        x : array_like (n_in,), or dict of str to array_like
            All inputs in order, or each by its name. A C-contiguous array of the model's dtype is
            read where it lies; anything else is converted first.
        out : ndarray (n_out,), optional
            C-contiguous, of the model's dtype. Nothing is allocated when it is given.

        Returns
        -------
        ndarray (n_out,) or None
            *out*, or a new array; None, with *out* as it was, if the network does not answer at this step (see
            :attr:`Model.stride <streamgru.Model.stride>` and :attr:`Model.delay <streamgru.Model.delay>`).

        Raises
        ------
        ShapeError, NonFiniteError, TokenError
            Before the state changes. NonFiniteError also if the new state would not be finite.
        StreamBusy
            If another thread is stepping this stream.
        """
    def bind(self, x: NDArray[np.floating[Any]], out: NDArray[np.floating[Any]] | None = None) -> Bound:
        """Bind an input and an output once, so that a step costs little more than a method call.

        Parameters
        ----------
        x : ndarray (n_in,)
            C-contiguous, of the model's dtype. Write the next input into it before each step.
        out : ndarray (n_out,), optional
            C-contiguous, of the model's dtype; a new one is made without it.

        Returns
        -------
        Bound
            ``bound.step()`` advances this stream and returns *out*, or None if no answer is due.

        Raises
        ------
        ShapeError
            If an array does not fit.
        """
    def run(self, X: ArrayLike, out: NDArray[np.floating[Any]] | None = None) -> NDArray[np.floating[Any]]:
        """Advance by a block of timesteps; the same bits as so many calls of :meth:`step`.

        Parameters
        ----------
        X : array_like (n_steps, n_in)
        out : ndarray (n_due, n_out), optional
            C-contiguous, of the model's dtype.

        Returns
        -------
        ndarray (n_due, n_out)
            The answers that were due: one for each step, unless the network answers less often.

        Raises
        ------
        ShapeError, NonFiniteError, TokenError
            The state is then what it was before the whole block.
        StreamBusy
            If another thread is stepping this stream.

        Notes
        -----
        The GIL is released once, for the whole block.
        """
    def trace(self, X: ArrayLike) -> Trace:
        """Advance by a block of timesteps and show every gate of every GRU at every step.

        Parameters
        ----------
        X : array_like (n_steps, n_in)

        Returns
        -------
        Trace
            ``trace.y`` (n_steps, n_out), and ``trace.gates["gru.0"]`` with ``r``, ``z``, ``n`` and
            ``h``, each (n_steps, n_hid), for every GRU layer. ``(1 - z) * n + z * h_before``
            gives ``h`` bit for bit, unless it has faded to less than 2**-100 and is taken as 0.
            What is not new at every step has a row for each step at which it was.

        Raises
        ------
        ShapeError, NonFiniteError, TokenError
            The state is then what it was before the whole block.
        StreamBusy
            If another thread is stepping this stream.
        """
    @property
    def state(self) -> dict[str, NDArray[np.floating[Any]]]:
        """What each layer remembers: a dict from its name to a copy, of a GRU an array (n_hid,).

        Convolutions and pools remember rows of their input (n_rows, n_in), oldest first; padding that is left out
        is told by one more column, 1 for a row that is none. ``x:3`` are rows of ``x`` that wait to be used from
        step 3 on.

        Assign a dict of some or all layers to change it; ShapeError or NonFiniteError, with
        nothing changed, if a name, a shape or a value is wrong.
        """
    @state.setter
    def state(self, new: dict[str, ArrayLike]) -> None: ...
    @property
    def n_steps(self) -> int:
        """Steps since the start; a snapshot and a fork carry it on. Can be read while another thread steps."""
    def reset(self) -> None:
        """Go back to the state that a stream starts from; StreamBusy if another thread is stepping it."""
    def fork(self) -> Stream:
        """Make a second stream that goes on from here on its own; StreamBusy as :meth:`step`."""
    def snapshot(self) -> bytes:
        """The whole state as bytes: versioned, checksummed, tied to the model; StreamBusy as :meth:`step`.

        :meth:`Model.restore <streamgru.Model.restore>` goes on from it, also in another process.
        """
    def __reduce__(self) -> tuple[Any, ...]: ...

def restored(model: Model, blob: bytes, carry: bool = False) -> Stream:
    """A stream of *model* that goes on from a snapshot; see :meth:`Model.restore <streamgru.Model.restore>`."""
