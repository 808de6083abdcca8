"""``python -m boda`` is ``boda``."""

from boda.cli import main

main()
