"""The command line. stdout is data, stderr is narration; only `open` and `replay` import the screen.

Exit codes: 0 done · 1 not as wanted (verify found something, a run ended early) · 2 a lab, file or argument is wrong ·
3 the engine refused · 4 no engine.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

import click

from core import __version__
from core.errors import LabError, Refused
from core.lab import Lab
from core.requests import NoEngine
from core.text import clean
from tui.commands import working
from tui.commands.frame import EXIT_NO_ENGINE, EXIT_REFUSED, EXIT_WRONG

ELSEWHERE = dict.fromkeys(
    ("status", "list", "show", "report", "replay", "verify", "doctor", "audit"), "tui.commands.reading"
) | dict.fromkeys(
    ("review", "approve", "revise", "veto", "undo", "override", "autonomy", "pause", "resume"), "tui.commands.deciding"
)
"""commands whose module is imported when one of them is wanted: whoever opens a lab waits for none of it"""
NEAR = 0.7
"""how alike a word must be to a command to be taken for it mistyped; difflib's ratio"""


class Commands(click.Group):
    """A group whose default command is `open`: `autoresearch-tui LAB` opens LAB."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*self.commands, *ELSEWHERE})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in ELSEWHERE and cmd_name not in self.commands:
            for found in import_module(ELSEWHERE[cmd_name]).COMMANDS:
                self.add_command(found)
        return super().get_command(ctx, cmd_name)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        names = self.list_commands(ctx)
        if not args or (args[0] not in (*names, "--help", "-h", "--version")):
            if args:
                refuse_a_slip(args, names)
            args = ["open", *args]
        return super().parse_args(ctx, args)


def refuse_a_slip(args: Sequence[str], names: Sequence[str]) -> None:
    """A first word that is no lab here but meant as a command opens nothing, and makes no lab of its name.

    Raises:
        LabError: it is nearly a command, or words follow as behind a command.
    """
    word = args[0]
    if word.startswith("-") or os.sep in word or Lab(Path(os.path.abspath(word))).exists():
        return
    from difflib import get_close_matches

    if near := get_close_matches(word, names, n=1, cutoff=NEAR):
        raise LabError(
            f"there is no command {word}; did you mean {near[0]}?",
            hint=f"a lab of that name: autoresearch-tui .{os.sep}{word}",
        )
    if len(args) > 1 and not args[1].startswith("-"):
        raise LabError(f"there is no command {word}", hint="autoresearch-tui --help names them")


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__)
def commands() -> None:
    """A cockpit for autonomous ML research: read, approve, edit or veto each experiment.

    Without a command the lab is opened: autoresearch-tui [LAB]
    """


for command in working.COMMANDS:
    commands.add_command(command)


def run(arguments: Sequence[str]) -> int:
    """Run one command; errors become words on stderr and an exit code."""
    try:
        result = commands.main(args=list(arguments), prog_name="autoresearch-tui", standalone_mode=False)
    except click.exceptions.Exit as end:
        return int(end.exit_code)
    except click.ClickException as error:
        said = io.StringIO()
        error.show(said)  # it repeats arguments as they are
        click.echo(clean(said.getvalue()), err=True, nl=False)
        return EXIT_WRONG
    except click.Abort:
        return 130
    except NoEngine as error:
        return complain(error, EXIT_NO_ENGINE)
    except Refused as error:
        return complain(error, EXIT_REFUSED)
    except LabError as error:
        return complain(error, EXIT_WRONG)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # `list | head` is no error
        return 0
    return result if isinstance(result, int) else 0


def complain(error: LabError, code: int) -> int:
    click.echo(clean(f"autoresearch-tui: {error.message}"), err=True)
    if error.hint:
        click.echo(clean(f"  {error.hint}"), err=True)
    return code
