"""What comes in as x and goes out as y: numpy arrays by their C API, copies only where needed."""

cimport numpy as cnp

import numpy as np

from streamgru.errors import NonFiniteError, ShapeError, TokenError

cnp.import_array()


cdef const void* direct(Plan plan, object x, int ndim, Py_ssize_t n_rows, Py_ssize_t n_cols) noexcept:
    cdef cnp.ndarray array
    if not cnp.PyArray_CheckExact(x):
        return NULL
    array = <cnp.ndarray>x
    if (
        cnp.PyArray_TYPE(array) != plan.typenum
        or cnp.PyArray_NDIM(array) != ndim
        or cnp.PyArray_DIM(array, ndim - 1) != n_cols
        or (ndim == 2 and cnp.PyArray_DIM(array, 0) != n_rows)
        or not cnp.PyArray_ISCARRAY_RO(array)
    ):
        return NULL
    return cnp.PyArray_DATA(array)


cdef object as_numbers(Plan plan, object x, str what, bint strict):
    if isinstance(x, np.ndarray) and hasattr(x, "mask"):  # numpy would hand out what the mask hides
        raise ShapeError(f"{what}: expected an array of numbers, got a masked array")
    try:
        array = np.asarray(x)
    except ValueError as error:  # rows of different lengths
        raise ShapeError(f"{what}: expected an array of numbers, got {type(x).__name__} ({error})") from None
    if array.dtype.kind not in "fiub":
        raise ShapeError(f"{what}: expected numbers, got {_describe(array)}")
    with np.errstate(over="ignore"):
        converted = np.require(array, plan.dtype, ["C", "A"])
    wider = array.dtype.kind == "f" and array.itemsize > converted.itemsize
    if strict and wider and not np.isfinite(converted).all():
        overflown = np.argwhere(np.isfinite(array) & ~np.isfinite(converted))
        if len(overflown):
            index = tuple(overflown[0].tolist())
            raise NonFiniteError(f"{_at(what, index)}: expected a finite {plan.dtype}, got {array[index]}")
    return converted


cdef cnp.ndarray as_rows(Plan plan, object x, bint strict):
    if cnp.PyArray_CheckExact(x) and cnp.PyArray_NDIM(x) == 2:  # as it should be: all below would cost more than a step
        if direct(plan, x, 2, cnp.PyArray_DIM(x, 0), plan.program.n_in) != NULL:
            return x
    array = as_numbers(plan, x, "X", strict)
    if array.ndim != 2 or array.shape[1] != plan.program.n_in:
        raise ShapeError(f"X: expected shape (n, {plan.program.n_in}), got {array.shape}")
    return array


cdef cnp.ndarray as_vector(Plan plan, object x):
    if isinstance(x, dict):
        x = _named(plan, x)
    array = as_numbers(plan, x, "x", True)
    if array.ndim != 1 or array.shape[0] != plan.program.n_in:
        raise ShapeError(f"x: expected shape ({plan.program.n_in},), got {array.shape}")
    return array


cdef int check_input(Plan plan, object x) except -1:
    cdef Py_ssize_t n_in = plan.program.n_in
    if direct(plan, x, 1, 0, n_in) == NULL:
        raise ShapeError(f"x: expected a contiguous {plan.dtype} array ({n_in},), got {_describe(x)}")
    return 0


cdef cnp.ndarray output_vector(Plan plan, object out):
    cdef cnp.npy_intp n_out = plan.program.n_out
    if out is None:
        return cnp.PyArray_EMPTY(1, &n_out, plan.typenum, 0)
    if direct(plan, out, 1, 0, n_out) == NULL or not cnp.PyArray_ISWRITEABLE(out):
        raise ShapeError(f"out: expected a writable, contiguous {plan.dtype} array ({n_out},), got {_describe(out)}")
    return out


cdef cnp.ndarray output_rows(Plan plan, object out, Py_ssize_t n_rows):
    cdef cnp.npy_intp n_out = plan.program.n_out
    cdef cnp.npy_intp[2] shape = [n_rows, n_out]
    if out is None:
        return cnp.PyArray_EMPTY(2, shape, plan.typenum, 0)
    if direct(plan, out, 2, n_rows, n_out) == NULL or not cnp.PyArray_ISWRITEABLE(out):
        raise ShapeError(
            f"out: expected a writable, contiguous {plan.dtype} array ({n_rows}, {n_out}), got {_describe(out)}"
        )
    return out


cdef object refusal(Plan plan, cnp.ndarray x, Py_ssize_t row, Py_ssize_t index):
    if index < 0:
        return NonFiniteError(
            f"row {row}: was not finite, or no token, when it was read; another thread is writing to it"
        )
    value = x[index] if x.ndim == 1 else x[row, index]
    where = _at("x", (index,)) if x.ndim == 1 else _at("X", (row, index))
    for token in plan.layout.tokens:
        if token.index == index and np.isfinite(value):
            expected = f"a token of {token.name!r}, an integer in [0, {token.vocab})"
            return TokenError(f"{where}: expected {expected}, got {value}")
    return NonFiniteError(f"{where}: expected a finite {plan.dtype}, got {value}")


cdef cnp.ndarray apart(cnp.ndarray rows, cnp.ndarray y):
    cdef const char* x_data = <const char*>cnp.PyArray_DATA(rows)
    cdef const char* y_data = <const char*>cnp.PyArray_DATA(y)
    if x_data < y_data + cnp.PyArray_NBYTES(y) and y_data < x_data + cnp.PyArray_NBYTES(rows):
        return rows.copy()
    return rows


def _named(Plan plan, dict x):
    """The values of named inputs, one behind the other."""
    sizes = plan.inputs
    if set(x) != set(sizes):
        raise ShapeError(f"x: expected the inputs {', '.join(sizes)}, got {', '.join(map(str, x)) or 'none'}")
    parts = []
    for name, size in sizes.items():
        part = as_numbers(plan, x[name], f"x[{name!r}]", True).reshape(-1)
        if part.size != size:
            raise ShapeError(f"x[{name!r}]: expected {size} number(s), got {part.size}")
        parts.append(part)
    return np.concatenate(parts)


def _at(what, index):
    return f"{what}[{', '.join(map(str, index))}]" if index else what


def _describe(array):
    if isinstance(array, np.ndarray):
        return f"{array.dtype} {array.shape}"
    return type(array).__name__


cdef object diverged(Py_ssize_t row):
    return NonFiniteError(
        f"row {row}: the new state or the output would not be finite (input or weights are too large); "
        "the state is unchanged"
    )


cdef cnp.ndarray column(str name, object values, object dtype, Py_ssize_t n_rows):
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise ShapeError(f"{name}: expected {n_rows} numbers, got {error}") from None
    if array.shape != (n_rows,) or not (n_rows == 0 or np.can_cast(array.dtype, dtype, "safe")):
        raise ShapeError(f"{name}: expected {np.dtype(dtype)} ({n_rows},), got {array.dtype} {array.shape}")
    return np.require(array, dtype, ["C", "A"])


cdef int check_marks(str name, object marks, Py_ssize_t n_rows) except -1:
    if marks is not None and not (
        isinstance(marks, np.ndarray) and marks.dtype == np.uint8 and marks.shape == (n_rows,) and marks.flags.carray
    ):
        raise ShapeError(f"{name}: expected a writable, contiguous uint8 array ({n_rows},)")
    return 0


cdef int check_due(object due, Py_ssize_t n_rows, bint timed) except -1:
    if due is None and timed:
        raise ShapeError(
            f"due: expected a uint8 array ({n_rows},) to be told which rows have an answer, since this network does "
            "not answer at every step; got none"
        )
    return check_marks("due", due, n_rows)
