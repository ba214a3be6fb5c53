"""The root command: a table of commands, each loaded when it is called."""

from __future__ import annotations

import importlib
import os
import sys
import time
import traceback
from dataclasses import dataclass
from typing import Annotated, Any

import typer
from typer.core import TyperGroup
from typer.exceptions import TyperException

from r1fleet import __version__
from r1fleet.cache import cache_dir
from r1fleet.console.errors import render_error
from r1fleet.errors import ExitCode, FleetError, Interrupted

HELP = """From bare SSH hosts to an answering LLM endpoint.

Provision hosts with Ansible-style playbooks, plan and launch one coordinated gang of ranks,
and see every rank at a glance.
"""
EPILOG = (
    "Exit codes: 0 ok, 2 a host failed, 4 a host unreachable, 5 usage or spec, 6 preflight FAIL, 7 lock held, "
    "99 interrupted, 250 a bug in r1fleet."
)


@dataclass(frozen=True, slots=True)
class Entry:
    """One command of the table: where it lives and what it does, in a line."""

    module: str
    help: str


COMMANDS = {
    "init": Entry("init", "Make a new project folder with examples"),
    "provision": Entry("provision", "Turn bare hosts into hosts that can serve"),
    "play": Entry("play", "Run any playbook (ansible-playbook's flags)"),
    "lint": Entry("lint", "Tell what of roles and playbooks is outside the subset; never connects"),
    "sync": Entry("sync", "Bring each deployment's model to all its hosts: one download, verified"),
    "weights": Entry("weights", "List, verify or prune the models that hosts keep"),
    "facts": Entry("facts", "Tell what hosts are: devices, drivers, network, disks, clock"),
    "preflight": Entry("preflight", "Find what would break a launch, before it does"),
    "plan": Entry("plan", "Show every rank's exact command; never connects"),
    "launch": Entry("launch", "Start one coordinated gang of ranks: all or none"),
    "status": Entry("status", "Show every cluster, every rank, at a glance"),
    "logs": Entry("logs", "Show what the ranks wrote"),
    "ask": Entry("ask", "Ask a served model, or talk with it"),
    "stop": Entry("stop", "Stop a deployment on all its hosts"),
    "restart": Entry("restart", "Stop a deployment and launch it again"),
    "lock": Entry("lock", "Show or release the locks of launches and syncs"),
    "lab": Entry("lab", "Real hosts on this machine, to rehearse on"),
}


class CommandTable(TyperGroup):
    """A group that imports a command's module only when that command runs or shows its help."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the table's names in its order."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Import the module of ``cmd_name``; None for an unknown name."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"r1fleet.cli.{COMMANDS[cmd_name].module}")
        command = typer.main.get_command(module.app)
        command.name = cmd_name
        return command

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """List the commands from the table, without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.help) for name, entry in COMMANDS.items()])

    def invoke(self, ctx: Any) -> Any:
        """Run the command; Ctrl-C becomes an error with its documented code."""
        self.commands = dict.fromkeys(COMMANDS)  # type: ignore[assignment]  # names for "Did you mean"
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as interrupt:
            raise Interrupted("interrupted") from interrupt
        except BrokenPipeError:
            return _unread()


root = typer.Typer(
    cls=CommandTable,
    help=HELP,
    epilog=EPILOG,
    rich_markup_mode=None,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


def _version(value: bool) -> None:  # noqa: FBT001  (typer calls it so)
    if value:
        typer.echo(f"r1fleet {__version__}")
        raise typer.Exit


@root.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    pass


def run(argv: list[str]) -> int:
    """Run one command line and return its exit code; every error ends here as one message."""
    try:
        result = typer.main.get_command(root).main(args=argv, prog_name="r1fleet", standalone_mode=False)
        sys.stdout.flush()
    except FleetError as error:
        sys.stderr.write(f"{render_error(error)}\n")
        return int(error.exit_code)
    except TyperException as error:
        sys.stderr.write(f"error: {error.format_message()}\n  hint: r1fleet --help, or r1fleet COMMAND --help\n")
        return int(ExitCode.USAGE)
    except (typer.Abort, KeyboardInterrupt):
        sys.stderr.write("interrupted\n")
        return int(ExitCode.INTERRUPTED)
    except BrokenPipeError:
        return _unread()
    except Exception as error:  # the outermost boundary: what reaches it is a bug of ours
        return _bug(error)
    return result if isinstance(result, int) else int(ExitCode.OK)


def _unread() -> int:
    """End quietly when nobody reads on, with the status of a program that the signal for it has ended."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 141


def _bug(error: Exception) -> int:
    path = cache_dir("bugs") / f"{time.strftime('%Y%m%d-%H%M%S')}.txt"
    path.write_text("".join(traceback.format_exception(error)), encoding="utf-8")
    path.chmod(0o600)
    sys.stderr.write(
        f"this is a bug in r1fleet: {type(error).__name__}: {error}\n  hint: please report it with the file {path}\n"
    )
    return int(ExitCode.BUG)
