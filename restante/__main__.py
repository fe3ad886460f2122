"""`python -m restante`."""

from restante.cli import run

if __name__ == "__main__":  # not where a process that helps imports it
    run()
