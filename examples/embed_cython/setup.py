"""One extension. Cython finds streamgru's declarations where it is installed; no header of its, or of NumPy's, is needed."""

from Cython.Build import cythonize
from setuptools import Extension, setup

setup(ext_modules=cythonize([Extension("channels", ["channels.pyx"])], language_level=3))
