"""Runs a command and writes what it used: `python usage.py FILE COMMAND…`.

A process inherits the peak memory of whoever started it, and the bench holds gigabytes of generated mail; this
program holds nothing.
"""

import os
import sys

_, file, *command = sys.argv
_pid, status, used = os.wait4(os.posix_spawnp(command[0], command, os.environ), 0)
figures = (used.ru_utime + used.ru_stime, used.ru_maxrss / 1024, os.waitstatus_to_exitcode(status))
with open(file, "w", encoding="ascii") as out:  # noqa: PTH123 importing pathlib would cost memory
    print(*figures, file=out)
