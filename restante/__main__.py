"""`python -m restante`."""

from restante.cli import run

run()
