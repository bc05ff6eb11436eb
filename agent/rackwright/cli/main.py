"""The command line. Commands are imported when they are used: no command pays for another."""

from __future__ import annotations

import errno
import gc
import importlib
import os
import signal
import sys
from collections.abc import Sequence

import click

from rackwright import __version__
from rackwright.model.errors import InputError, Permanent, RackwrightError, Temporary, Unknown

COMMANDS: dict[str, tuple[str, str]] = {
    "init": ("site", "Make a new site that lints and plans"),
    "lint": ("site", "Find all errors of a site, with their lines"),
    "schema": ("site", "Print the JSON Schema of site files, for editors"),
    "why": ("site", "Say where a value or a resource comes from"),
    "plan": ("converge", "Show as a diff what a converge would do; write nothing"),
    "agent": ("converge", "Converge this host, once or as a daemon"),
    "delegate": ("converge", "Converge managed nodes (switches, PDUs), once or as a daemon"),
    "delegates": ("delegates", "Converge what the store has placed on this host, as a daemon"),
    "outlet": ("outlet", "List a PDU's outlets, or reboot one"),
    "record": ("record", "Keep a session with a node as a file that shows no secret"),
    "replay": ("record", "Show what is read from a recorded session"),
    "discover": ("discover", "Find and print a node's facts and links"),
    "store": ("store", "Serve a site from git to agents and delegates"),
    "status": ("ask", "Show every node: revision, state, last run, what it waits for"),
    "node": ("node", "Show one node as the store knows it, or retire one"),
    "host": ("host", "Show the hosts that converge managed nodes, or drain one"),
    "sequence": ("sequence", "Show the order of everything, and where a revision stands"),
    "watch": ("sequence", "Follow the revision in force until it is verified, or stuck"),
    "why-waiting": ("sequence", "Show what a node waits for, down to the root"),
    "proposal": ("ask", "Show the proposals in force and where they are deployed"),
    "rollout": ("rollout", "Show how far the rollouts have come, wave by wave"),
    "links": ("links", "Show links, declared and seen, and adopt what is found"),
    "runs": ("ask", "Show the last runs"),
    "token": ("ask", "Make one-time enrolment tokens"),
    "sim": ("simulate", "Start simulated devices for a site's managed nodes"),
    "demo": ("demo", "Converge a simulated rack on this machine: no hardware, no root"),
}
"""Command → (module of this package, help). The help stands here so that --help imports nothing."""


COLLECT_AFTER = 20_000
"""Objects made before the garbage collector looks for cycles; Python's 700 is for programs that keep
few. What a run imports and reads makes a hundred thousand that stay."""


class LazyGroup(click.Group):
    """Imports a command's module when the command is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"rackwright.cli.{COMMANDS[cmd_name][0]}")
        command: click.Command = getattr(module, cmd_name.replace("-", "_"))
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            import difflib

            near = difflib.get_close_matches(args[0], COMMANDS, 1)
            hint = f" Did you mean {near[0]}?" if near else ""
            raise click.UsageError(f"There is no command {args[0]!r}.{hint}", ctx)
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except OSError as error:
            if error.errno not in (errno.EPIPE, errno.ENOSPC, errno.EIO) or error.filename:
                raise
            # What is still in the buffer cannot be written either.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            if error.errno == errno.EPIPE:
                # Whoever read our output has gone (head, less), and what we have found out is not told.
                raise click.exceptions.Exit(128 + signal.SIGPIPE) from None
            raise Permanent(f"cannot write: {error.strerror}") from None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="rackwright")
def group() -> None:
    """Rackwright converges a whole rack: servers by an agent, switches and PDUs by a delegate.

    Exit codes: 0 converged, nothing to do or printed; 1 the input is wrong; 2 a resource failed;
    3 blocked on a need; 4 could not reach the node or the store.
    """


def main(args: Sequence[str] | None = None) -> None:
    """Entry point. Every error that Rackwright raises on purpose ends as a sentence, not a trace."""
    gc.set_threshold(COLLECT_AFTER, 10, 10)
    color = wants_color()
    with click.Context(group, color=color):  # for what is said when the command has ended
        _run(args, color)


def wants_color() -> bool | None:
    """False where somebody wants none (https://no-color.org), or the terminal has none; None: where the
    output is a terminal."""
    return False if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb" else None


def _run(args: Sequence[str] | None, color: bool | None) -> None:
    try:
        code = group.main(args, standalone_mode=False, color=color)
        sys.exit(code if isinstance(code, int) else 0)
    except click.exceptions.Abort:
        click.echo("stopped", err=True)
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(1)
    except InputError as error:
        from rackwright.cli.output import show_problems

        show_problems(error.problems)
        sys.exit(1)
    except RackwrightError as error:
        click.echo(click.style("error: ", fg="red", bold=True) + str(error), err=True)
        sys.exit(4 if isinstance(error, Temporary) else 1 if isinstance(error, Unknown) else 2)
    finally:
        # The process ends: the last collection would walk through all that it has, for nothing.
        gc.freeze()
