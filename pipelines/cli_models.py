"""``spineagent models``: generations of models, from the terminal.

Belongs here: arguments and what is printed. Does not belong here: work (``generations``).
"""

from __future__ import annotations

from typing import Annotated, Any

import typer

from pipelines.plain_errors import plain_errors

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


@models_app.command("list")
@plain_errors
def models_list() -> None:
    """Print every generation: what it pins, whether it is served, what it lacks."""
    from pipelines.generations import list_generations

    for generation in list_generations(*_opened()):
        whole = "; ".join(generation.missing) or "whole"
        typer.echo(f"{generation.name}\t{'served' if generation.served else 'beside'}\t{whole}")
        for model, version in generation.pins.items():
            typer.echo(f"\t{model}\t{version}")


@models_app.command("build")
@plain_errors
def models_build(name: _Name) -> None:
    """Embed, probe, index, claim and draft with the newest models beside the served generation; goes on when killed."""
    from pipelines.generations import build

    build(*_opened(), name, _say)


@models_app.command("switch")
@plain_errors
def models_switch(name: _Name) -> None:
    """Serve a whole generation, in one step, and rebuild the warehouse; the one before stays as it is."""
    from pipelines.generations import switch

    switch(*_opened(), name, _say)


@models_app.command("drop")
@plain_errors
def models_drop(name: _Name) -> None:
    """Forget a generation that is not served."""
    from pipelines.generations import drop

    drop(_opened()[0], name)
    _say(f"generation {name} is dropped")
