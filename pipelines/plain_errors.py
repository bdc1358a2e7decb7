"""Expected errors of the command line: one line that says what, where and what to do, and exit code 2.

Belongs here: which errors are expected, how they are shown. Does not belong here: commands (``cli``, ``cli_models``).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import typer


def plain_errors(command: Callable[..., Any]) -> Callable[..., Any]:
    """Show the reason of an expected error as one line and exit with 2; anything else keeps its traceback."""

    @wraps(command)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        from pipelines.execution import RunFailed
        from pipelines.runtime.storage import StorageError
        from pipelines.study import StudyRefused
        from sql.warehouse import WarehouseError

        try:
            return command(*args, **kwargs)
        except (ValueError, StorageError, RunFailed, StudyRefused, WarehouseError) as error:
            typer.echo(f"spineagent: {error}", err=True)
            raise typer.Exit(2) from None

    return wrapped
