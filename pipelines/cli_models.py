"""``spineagent models``: generations of models, from the terminal.

Belongs here: arguments and what is printed. Does not belong here: work (``generations``).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import typer

models_app = typer.Typer(
    help="Generations of models: build one beside the served one, switch in one step, and back.",
    no_args_is_help=True,
)
_Name = Annotated[str, typer.Argument(help="name of the generation, as g2")]


def _opened() -> tuple[Any, Any]:
    from pipelines.home import open_instance
    from pipelines.runtime.profiles import Settings
    from pipelines.runtime.resources import Hospital

    settings = Settings()
    return Hospital.from_settings(settings), open_instance(settings.dagster_home)


def _say(line: str) -> None:
    typer.echo(line, err=True)


def _refused(work: Callable[[], None]) -> None:
    """Show an expected refusal as one line and exit with 2."""
    from pipelines.runner import RunFailed
    from pipelines.runtime.storage import StorageError

    try:
        work()
    except (ValueError, StorageError, RunFailed) as error:
        _say(f"spineagent: {error}")
        raise typer.Exit(2) from None


@models_app.command("list")
def models_list() -> None:
    """Print every generation: what it pins, whether it is served, what it lacks."""
    from pipelines.generations import list_generations

    def work() -> None:
        for generation in list_generations(*_opened()):
            whole = "; ".join(generation.missing) or "whole"
            typer.echo(f"{generation.name}\t{'served' if generation.served else 'beside'}\t{whole}")
            for model, version in generation.pins.items():
                typer.echo(f"\t{model}\t{version}")

    _refused(work)


@models_app.command("build")
def models_build(name: _Name) -> None:
    """Embed, probe, index, claim and draft with the newest models beside the served generation; goes on when killed."""
    from pipelines.generations import build

    _refused(lambda: (build(*_opened(), name, _say), None)[1])


@models_app.command("switch")
def models_switch(name: _Name) -> None:
    """Serve a whole generation, in one step, and rebuild the warehouse; the one before stays as it is."""
    from pipelines.generations import switch

    _refused(lambda: switch(*_opened(), name, _say))


@models_app.command("drop")
def models_drop(name: _Name) -> None:
    """Forget a generation that is not served."""
    from pipelines.generations import drop

    def work() -> None:
        drop(_opened()[0], name)
        _say(f"generation {name} is dropped")

    _refused(work)
