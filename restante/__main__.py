"""`restante` and `python -m restante`."""

import atexit
import os
import sys


def main() -> int:
    """Run the command line; a process that helps imports this file too, and should not pay for all of that."""
    code = None

    def leave() -> None:
        if code is not None:
            os._exit(code)

    # Taking the interpreter apart, object by object, takes a tenth of the time of a backup with nothing new. Exit
    # handlers run in reverse: this one after those of all that the command line imports.
    atexit.register(leave)
    from restante.cli import main as run_command

    code = run_command()
    return code


if __name__ == "__main__":
    sys.exit(main())
