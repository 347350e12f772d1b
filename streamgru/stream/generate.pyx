"""A network that is fed its own answers.

A draw is the same on every machine. Its random number is that of SplitMix64 (Steele, Lea and Flood 2014) at a
counter: with *k* answers before it, ``u = mix(seed + (k + 1) * 0x9E3779B97F4A7C15) >> 11``, a number of 53 bits. The
token is the first at which the sum of ``exp((y - max y) / temperature)`` passes ``u / 2**53`` of the whole sum; the
sums are of double precision, in the order of the tokens.
"""

cimport numpy as cnp
from libc.math cimport exp
from libc.stdint cimport int64_t, uint64_t
from libc.string cimport memcpy

from streamgru.kernels.packed cimport sg_packed_table
from streamgru.kernels.real cimport real
from streamgru.stream.busy cimport sg_give, sg_take
from streamgru.stream.running cimport STEPPED, Outcome, take_step
from streamgru.stream.stream cimport failure

import numpy as np

from streamgru.errors import ShapeError, StreamBusy

cnp.import_array()

_BUSY = "another thread is using this generator; it has one owner"
CHOICES = {"argmax": ARGMAX, "sample": SAMPLE, "value": VALUE}
cdef enum:
    BLOCK = 64  # answers at a time, where nobody waits for each of them
    MOST_BYTES = 1 << 30  # of answers that are handed out at once


cdef class Generator:
    """Answers one by one, each of them fed back as the next input.

    Made by :meth:`Model.generator <streamgru.Model.generator>`; iterating gives the tokens, or the numbers, until
    it ends.

    Thread-safety: one owner, as a stream.
    """

    def __init__(
        self, stream, x, part, choose, *, stop=None, limit=1000, temperature=1.0, seed=0, vocabulary=None, n=0,
    ):
        self.stream, self.vocabulary, self.seed = stream, vocabulary, seed
        self.x = np.array(x, self.stream.plan.dtype)
        self.first, self.size = part.start, part.stop - part.start
        self.weights = np.empty(self.size, self.x.dtype)
        self.choice = CHOICES["argmax" if choose == "sample" and temperature == 0 else choose]
        self.stop = -1 if stop is None else stop
        self.limit, self.temperature, self.key, self.n = limit, temperature, seed, n
        if n and self.choice != VALUE and self.x[0] == self.stop:
            self.outcome = BY_STOP
        elif n == limit:
            self.outcome = BY_LIMIT

    @property
    def ended(self):
        """What ended it, ``stop`` or ``limit``; None as long as there is more."""
        return (None, "stop", "limit")[self.outcome]

    @property
    def n_steps(self):
        """Answers so far."""
        return self.n

    def run(self, n):
        """Answer *n* times, or until it ends, if that is sooner.

        Parameters
        ----------
        n : int

        Returns
        -------
        tokens : ndarray of int64 (n_answers,)
            What was chosen, the token that ends it included; all 0 where numbers themselves are fed back.
        values : ndarray (n_answers, n_out)
            What they were chosen from: y of every step.

        Raises
        ------
        NonFiniteError
            If the next state would not be finite. What was answered before is handed out first.
        StreamBusy
            If another thread uses this generator, or its stream.

        Notes
        -----
        The GIL is released once, for all of them.
        """
        cdef Py_ssize_t most, i = 0, token = 0
        cdef Outcome outcome = STEPPED
        cdef cnp.ndarray tokens, values
        cdef int64_t* chosen
        cdef char* y
        cdef Py_ssize_t y_bytes = self.stream.plan.program.n_out * self.stream.plan.program.itemsize
        if not sg_take(&self.busy):
            raise StreamBusy(_BUSY)
        try:
            most = max(0, min(n, self.limit - self.n)) if self.outcome == NOT_YET else 0
            tokens = np.zeros(most, np.int64)
            values = np.empty((most, self.stream.plan.program.n_out), self.x.dtype)
            chosen, y = <int64_t*>cnp.PyArray_DATA(tokens), <char*>cnp.PyArray_DATA(values)
            with nogil:
                while i < most and self.outcome == NOT_YET:
                    outcome = take_step(&self.stream.running, cnp.PyArray_DATA(self.x), y + i * y_bytes)
                    if outcome != STEPPED:
                        break
                    token = self._choose(y + i * y_bytes)
                    self._feed(y + i * y_bytes, token)
                    chosen[i] = token
                    self.n += 1
                    i += 1
                    if self.choice != VALUE and token == self.stop:
                        self.outcome = BY_STOP
                    elif self.n == self.limit:
                        self.outcome = BY_LIMIT
            if outcome != STEPPED and i == 0:
                raise failure(self.stream, self.x, outcome)
        finally:
            sg_give(&self.busy)
        return tokens[:i], values[:i]

    def rest(self):
        """Answer until it ends; returns as :meth:`run`. ShapeError if the answers fill more than 1 GiB."""
        blocks = [self.run(0)]
        while self.outcome == NOT_YET:
            blocks.append(self.run(BLOCK))
            if (len(blocks) - 1) * blocks[-1][1].nbytes > MOST_BYTES:
                raise ShapeError(
                    f"generate: the answers fill more than {MOST_BYTES} bytes; give a smaller limit, or take them in "
                    "parts: model.generator(...).run(n)"
                )
        return np.concatenate([tokens for tokens, _ in blocks]), np.concatenate([values for _, values in blocks])

    def settings(self):
        """The next input, the choice, first and size of what it is made from, stop, limit, count, seed, temperature.

        StreamBusy if another thread uses this generator.
        """
        if not sg_take(&self.busy):
            raise StreamBusy(_BUSY)
        try:
            return (
                self.x.copy(), self.choice, self.first, self.size, self.stop, self.limit, self.n, self.seed,
                self.temperature,
            )
        finally:
            sg_give(&self.busy)

    def snapshot(self):
        """All that it takes to go on as bytes: the stream's snapshot, the next input, and where the draws are.

        :meth:`Model.restore_generator <streamgru.Model.restore_generator>` goes on from it, also in another process.
        """
        from streamgru.stream.halfway import pack

        return pack(self)

    def __iter__(self):
        return self

    def __next__(self):
        tokens, values = self.run(1)
        if not len(tokens):
            raise StopIteration
        return values[0, self.first:self.first + self.size] if self.choice == VALUE else int(tokens[0])

    def __repr__(self):
        return f"<Generator of {self.stream.model!r}, {self.n} answers{', ended' if self.outcome else ''}>"

    cdef Py_ssize_t _choose(self, const void* y) noexcept nogil:
        """The token that follows from y (n_out,)."""
        cdef const sg_packed_table* table = self.stream.plan.program.packed
        if self.choice == VALUE:
            return 0
        if self.stream.plan.program.itemsize == sizeof(float):
            if self.choice == ARGMAX:
                return _largest(self.size, <const float*>y + self.first)
            return _drawn(
                table, self.size, <const float*>y + self.first, <float*>cnp.PyArray_DATA(self.weights),
                self.temperature, _random(self.key, self.n),
            )
        if self.choice == ARGMAX:
            return _largest(self.size, <const double*>y + self.first)
        return _drawn(
            table, self.size, <const double*>y + self.first, <double*>cnp.PyArray_DATA(self.weights),
            self.temperature, _random(self.key, self.n),
        )

    cdef int _feed(self, const void* y, Py_ssize_t token) noexcept nogil:
        """Make what was answered the next input."""
        cdef Py_ssize_t itemsize = self.stream.plan.program.itemsize
        cdef void* x = cnp.PyArray_DATA(self.x)
        if self.choice == VALUE:
            memcpy(x, <const char*>y + self.first * itemsize, self.size * itemsize)
        elif itemsize == sizeof(float):
            (<float*>x)[0] = <float>token
        else:
            (<double*>x)[0] = <double>token
        return 0


cdef double _random(uint64_t key, uint64_t k) noexcept nogil:
    """Number *k* of a seed, in [0, 1): SplitMix64 at a counter."""
    cdef uint64_t z = key + (k + 1) * <uint64_t>0x9E3779B97F4A7C15
    z = (z ^ (z >> 30)) * <uint64_t>0xBF58476D1CE4E5B9
    z = (z ^ (z >> 27)) * <uint64_t>0x94D049BB133111EB
    z ^= z >> 31
    return <double>(z >> 11) * 2.0**-53


cdef Py_ssize_t _largest(Py_ssize_t n, const real* y) noexcept nogil:
    """The index of the largest of y (n,), the first of several."""
    cdef Py_ssize_t i, best = 0
    for i in range(1, n):
        if y[i] > y[best]:
            best = i
    return best


cdef Py_ssize_t _drawn(
    const sg_packed_table* table, Py_ssize_t n, const real* y, real* weights, double temperature, double u,
) noexcept nogil:
    """An index of y (n,), drawn with the probabilities softmax(y / temperature)."""
    cdef real top = y[_largest(n, y)]
    cdef double total = 0, passed = 0, below
    cdef Py_ssize_t i
    for i in range(n):
        below = (<double>y[i] - top) / temperature
        weights[i] = <real>(below if below > -80 else -80)  # e**-80 is never drawn, and is no denormal
    if real is float:
        table.exp_negative(n, weights)
    else:
        for i in range(n):
            weights[i] = exp(weights[i])
    for i in range(n):
        total += weights[i]
    for i in range(n):
        passed += weights[i]
        if passed > u * total:
            return i
    return n - 1
