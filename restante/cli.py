"""The command `restante`: its table of contents, and how it ends."""

from __future__ import annotations

import errno
import os
import signal
import sqlite3
import sys
import traceback
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Annotated

import typer

from imap.errors import ImapError
from restante.errors import Exit, Told, exit_code, tell, where
from restante.logs import tell_warnings
from restante.memory import keep_memory_small
from restante.output import say
from restante.stopping import insist
from vault.errors import Trouble
from vault.version import TOOL

COMMANDS = {
    "init": "init",
    "backup": "backup",
    "snapshots": "browse",
    "ls": "browse",
    "cat": "browse",
    "diff": "browse",
    "restore": "restore",
    "check": "check",
    "copy": "copy",
    "drill": "drill",
    "prune": "prune",
    "hold": "prune",
    "run": "service",
    "status": "status",
    "notify": "notify",
    "key": "key",
    "index": "index",
    "config": "config",
    "demo": "demo",
}
"""Each command, and the module below `restante.commands` that it is in."""


def application(arguments: Sequence[str] = ()) -> typer.Typer:
    """Return the commands; of a line that begins with one of them only that one.

    Importing all of them takes longer than a backup with nothing new.
    """
    app = typer.Typer(
        name="restante",
        help="Backs up whole mail servers to encrypted off-site storage, and puts them back on any server.",
        add_completion=False,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(options)
    for name in COMMANDS.keys() & arguments[:1] or COMMANDS:
        module = import_module(f"restante.commands.{COMMANDS[name]}")
        if hasattr(module, "app"):
            app.add_typer(module.app, name=name)
        else:
            app.command()(getattr(module, name))
    return app


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(TOOL)
        raise typer.Exit


def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the traceback of an error. Works anywhere in the line.")
    ] = False,
) -> None:
    """Take the options of `restante` itself; `main` has already looked at `--debug`."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line and return its exit code; prints errors to stderr and never raises."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in given
    keep_memory_small()
    signal.signal(signal.SIGTERM, insist)
    tell_warnings()
    code = _guarded(lambda: _run([word for word in given if word != "--debug"]), debug=debug)
    _let_go_of_stdout()
    return code


def _run(arguments: list[str]) -> int:
    outcome = application(arguments)(arguments, prog_name="restante", standalone_mode=False)
    sys.stdout.flush()
    return int(outcome) if isinstance(outcome, int) else Exit.COMPLETE


def _let_go_of_stdout() -> None:
    """Where nobody takes what is left to say, keep the interpreter from trying again when it ends."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def _guarded(work: Callable[[], int], *, debug: bool) -> int:
    """Do the work; turn whatever it raises into lines on stderr and an exit code."""
    try:
        return work()
    except KeyboardInterrupt:
        return Exit.INTERRUPTED
    except (BrokenPipeError, SystemExit):
        # Nobody reads on (`restante ls | head`), which rich and typer tell by SystemExit: leave as other tools do.
        return Exit.READER_GONE
    except Exception as error:  # noqa: BLE001  (the one place that catches everything, so that no traceback reaches a user)
        if debug:
            traceback.print_exc()
        told, code = _explain(error)
        for message, hint in told:
            say(f"error: {message}")
            if hint:
                say(f"hint: {hint}")
        return code


def _explain(error: Exception) -> tuple[list[Told], int]:
    match error:
        case Trouble() | ImapError():
            return tell(error), exit_code(error)
        case typer.Abort():
            return [Told("aborted", "")], Exit.USAGE
        case typer.TyperException():
            return [_usage(error)], Exit.USAGE
        case MemoryError():
            return [Told("out of memory", "lower limits.accounts_at_once in the configuration")], Exit.FAILED
        case OSError() | sqlite3.Error():
            return [_system(error)], Exit.FAILED
        case _:
            hint = "this is a mistake in Restante: please report it, with what --debug shows"
            return [Told(f"internal error: {type(error).__name__} in {where(error)}", hint)], Exit.FAILED


def _usage(error: typer.TyperException) -> Told:
    command = getattr(getattr(error, "ctx", None), "command_path", "restante")
    message = error.format_message() if hasattr(error, "format_message") else str(error)
    line = " ".join(message.split()).rstrip(".")
    return Told(line[:1].lower() + line[1:], f"`{command} --help` shows what it takes")


def _system(error: OSError | sqlite3.Error) -> Told:
    if isinstance(error, sqlite3.Error):
        hint = "make room there, or name another folder as vault.cache or XDG_CACHE_HOME; it may be deleted"
        return Told(f"the cache of the vault can't be used: {error}", hint)
    place = f"{error.filename}: " if error.filename else ""
    hints = {
        errno.ENOSPC: "make room on that file system; nothing in the vault is lost",
        errno.EACCES: "check the rights of the file or directory",
        errno.EROFS: "that file system is read-only",
    }
    return Told(f"{place}{error.strerror or error}", hints.get(error.errno or 0, "run again with --debug to see where"))
