"""How a command ends: every error as one line on stderr and an exit code, with no traceback unless asked for."""

from __future__ import annotations

import logging
import os
import sys
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import typer
from typer.core import TyperGroup

from ..errors import BGEError, IndexMismatchError, InputError
from .console import complain

EXIT_CODES = (
    "Exit codes: 0 done; 1 the answer is no (a check or a verification failed); 2 the command or its input is "
    "wrong; 3 a checkpoint cannot be had, or the work could not be done; 70 a defect of this program; "
    "130 interrupted."
)
NEGATIVE = 1
USAGE = 2
FAILED = 3
DEFECT = 70
INTERRUPTED = 130
_WRONG_COMMANDS = (InputError, IndexMismatchError)


class Doorway(TyperGroup):
    """A group of commands whose errors are told to people."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command; what it raises becomes a message and an exit code."""
        _keep_logs_quiet()
        with _errors_as_messages(debug=bool(ctx.params.get("debug"))), _plain_warnings():
            result = super().invoke(ctx)
            sys.stdout.flush()
            return result


@contextmanager
def last_resort() -> Iterator[None]:
    """Take what happens outside any command: stdout that cannot be written to, an interrupt while starting."""
    try:
        yield
    except BrokenPipeError:
        _let_go_of_stdout()
    except OSError as error:
        complain(f"error: {_one_line(error)}")
        sys.exit(FAILED)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


@contextmanager
def _errors_as_messages(*, debug: bool) -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        _let_go_of_stdout()
        raise typer.Exit(0) from None
    except KeyboardInterrupt:
        complain("interrupted")
        raise typer.Exit(INTERRUPTED) from None
    except (BGEError, OSError) as error:
        _tell("\n".join([f"error: {_one_line(error)}", *getattr(error, "__notes__", ())]), debug=debug)
        raise typer.Exit(USAGE if isinstance(error, _WRONG_COMMANDS) else FAILED) from None
    except Exception as error:
        if _is_typers_own(error):
            raise
        message = (
            f"error: {type(error).__name__}: {_one_line(error)}\n"
            "This is a defect of bge: please report it with the traceback that BGE_DEBUG=1 shows."
        )
        _tell(message, debug=debug)
        raise typer.Exit(DEFECT) from None


def advise(error: BaseException, advice: str) -> None:
    """Give an error advice that stands on a line of its own after the message, as `add_note` of Python 3.11 does."""
    error.__dict__.setdefault("__notes__", []).append(advice)


def _keep_logs_quiet() -> None:
    """Keep Python from printing log lines where nobody set up logging: what went wrong is told once."""
    logger = logging.getLogger("bge_components")
    if not logger.handlers:
        logger.addHandler(logging.NullHandler())


def _tell(message: str, *, debug: bool) -> None:
    if debug:
        traceback.print_exc()
    complain(message)


@contextmanager
def _plain_warnings() -> Iterator[None]:
    """Show warnings as one line each."""

    def show(message: Warning | str, category: type[Warning], *_: Any, **__: Any) -> None:
        complain(f"warning: {message}")

    before = warnings.showwarning
    warnings.showwarning = show
    try:
        yield
    finally:
        warnings.showwarning = before


def _let_go_of_stdout() -> None:
    """Send what is still buffered nowhere: the reader (`| head`) has left."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (OSError, ValueError):
        pass


def _is_typers_own(error: Exception) -> bool:
    """Tell usage errors and exits, which typer shows itself, from all others."""
    return any(hasattr(error, name) for name in ("exit_code", "show")) or isinstance(error, typer.Abort)


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
