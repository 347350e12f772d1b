"""What another package gets by ``from streamgru cimport ...``."""
