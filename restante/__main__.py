"""`restante` and `python -m restante`."""

import sys


def main() -> int:
    """Run the command line; a process that helps imports this file too, and should not pay for all of that."""
    from restante.cli import main as run_command

    return run_command()


if __name__ == "__main__":
    sys.exit(main())
