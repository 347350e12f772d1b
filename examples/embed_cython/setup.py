"""One extension. Cython finds streamgru's declarations where it is installed; nobody's headers are needed."""

from Cython.Build import cythonize
from setuptools import Extension, setup

setup(ext_modules=cythonize([Extension("channels", ["channels.pyx"])], language_level=3))
