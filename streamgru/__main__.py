"""``python -m streamgru``."""

from streamgru.cli import main

main()
