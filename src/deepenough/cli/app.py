"""The program `deepenough`; the module of a command is imported when the command is used or listed."""

from __future__ import annotations

from importlib import import_module

import click

COMMANDS = (
    "fit", "plan", "weights", "probe", "predict", "explain", "features", "lab", "serve", "evaluate", "export",
    "compare", "nets", "augment", "report", "card", "push",
)  # fmt: skip
RENAMED = {"sound": "probe"}


class Commands(click.Group):
    """Commands in the order in which they are used, each from the module of its name."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = getattr(import_module(f"deepenough.cli.{cmd_name}"), f"{cmd_name}_command")
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if new := RENAMED.get(args[0]):
            click.echo(f"deepenough: `{args[0]}` is now called `{new}`", err=True)
            args = [new, *args[1:]]
        try:
            return super().resolve_command(ctx, args)
        except click.NoSuchCommand as error:  # click looks for near names among the commands that are imported
            raise click.NoSuchCommand(error.command_name, possibilities=COMMANDS, ctx=ctx) from None


SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 100, "show_default": True}


@click.group(cls=Commands, context_settings=SETTINGS)
@click.version_option(package_name="deepenough")
def cli() -> None:
    """How deep does the network need to be?

    Give a set of labelled images and, if you like, the accuracy you need. `deepenough fit` finds the shallowest
    network that does the task, shows the evidence, and keeps a model that predicts.
    """
