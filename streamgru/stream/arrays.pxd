"""What comes in as x and goes out as y: numpy arrays by their C API, copies only where needed."""

cimport numpy as cnp

from streamgru.model.plan cimport Plan

# The address of a C-contiguous, aligned array of the plan's dtype; NULL if *x* is anything else.
cdef const void* direct(Plan plan, object x, int ndim, Py_ssize_t n_rows, Py_ssize_t n_cols) noexcept
# *x* as such an array of any shape. A finite number that the plan's dtype cannot hold becomes
# infinite; where *strict*, NonFiniteError tells which. Raises ShapeError for what is no numbers.
cdef object as_numbers(Plan plan, object x, str what, bint strict)
# *x* as such an array (n_rows, n_in) or (n_in,); raises as as_numbers.
cdef cnp.ndarray as_rows(Plan plan, object x, bint strict)
cdef cnp.ndarray as_vector(Plan plan, object x)
# Raises ShapeError unless *x* is such an array (n_in,), to be read where it lies.
cdef int check_input(Plan plan, object x) except -1
# *out* if it fits, a new array if it is None; raises ShapeError.
cdef cnp.ndarray output_rows(Plan plan, object out, Py_ssize_t n_rows)
cdef cnp.ndarray output_vector(Plan plan, object out)
# *values* as an array (n_rows,) of *dtype*, for which they must be safe; raises ShapeError.
cdef cnp.ndarray column(str name, object values, object dtype, Py_ssize_t n_rows)
# Raises ShapeError unless *marks* is None or a writable array of uint8 (n_rows,).
cdef int check_marks(str name, object marks, Py_ssize_t n_rows) except -1
# The same of *due*, which must not be None if not every row has an answer: *timed*.
cdef int check_due(object due, Py_ssize_t n_rows, bint timed) except -1
# *rows*, copied if writing to *y* would change them.
cdef cnp.ndarray apart(cnp.ndarray rows, cnp.ndarray y)
# The error that tells why element *index* of *row* was refused; -1: it is another number by now.
cdef object refusal(Plan plan, cnp.ndarray x, Py_ssize_t row, Py_ssize_t index)
# The error that tells that the step of *row* would have left a state that is not finite.
cdef object diverged(Py_ssize_t row)
