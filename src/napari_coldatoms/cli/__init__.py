"""The command line: the same analyses as in the window, on any number of files.

Only what ``--help`` and ``--version`` need is loaded here; each command loads its own rest.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence
from typing import TYPE_CHECKING

from napari_coldatoms import __version__

if TYPE_CHECKING:
    from cyclopts import App

DONE = 0
NOTHING = 1
USAGE = 2
PARTLY = 3
INTERRUPTED = 130

TRACEBACK = "COLDATOMS_TRACEBACK"
"""The environment variable that, when set, shows where an unexpected error came from."""

HELP = (
    """Find and fit cold-atom clouds in camera files, judge the sites of lattices, count atoms."""
)

EXIT_CODES = """Exit codes:
0 all files were analysed;
1 none could be, or the result could not be written;
2 wrong usage, or a recipe that cannot be followed;
3 some files or frames failed, the others are in the table; or a calibration is not to be trusted;
130 interrupted, what was done is in the table."""

# name -> the module that holds it, and what it does
_COMMANDS = {
    "detect": ("commands", "Find clouds in camera files, outline and fit them."),
    "run": ("commands", "Do on other files what a recipe says."),
    "calibrate": ("lattice", "Find the sites of a lattice and its PSF in images of it."),
    "reconstruct": ("lattice", "Judge which sites of a lattice hold an atom."),
    "count": ("count", "Tell how often there were 0, 1, 2, ... atoms from photon counts."),
    "design": ("design", "Predict SNR and detection errors of a lattice, without any file."),
    "evaluate": ("evaluate", "Judge a detector of clouds on simulated frames."),
    "train": ("train", "Train a network that finds clouds."),
    "tune": ("tune", "Look for the hyperparameters of a training."),
    "demo": ("commands", "Show the main job on simulated shots."),
}

# the same for commands with commands of their own
_GROUPS = {
    "dataset": (
        "Annotated pictures to train on.",
        {
            "import-coco": ("import_coco", "Make a dataset of pictures with a COCO file."),
            "import-via": ("import_via", "Make one with a file of the VGG Image Annotator."),
            "check": ("check", "Tell what is in a dataset, and whether it is whole."),
        },
    ),
}


class UsageError(ValueError):
    """A wish that the command line cannot fulfil; one line for the user."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    argv : sequence of str, optional
        The arguments; those of the process by default.

    Returns
    -------
    int
        The exit code: 0 all files were analysed; 1 none could be, or the result could not be
        written, or something unexpected went wrong; 2 wrong usage, or a recipe that cannot be
        followed; 3 some files or frames failed, the others are in the table, or a calibration is
        not to be trusted; 130 interrupted, what was done is in the table.
    """
    from cyclopts import CycloptsError

    try:
        code = _app()(
            None if argv is None else list(argv),
            exit_on_error=False,
            print_error=False,
            result_action="return_value",
        )
        sys.stdout.flush()
        return code if isinstance(code, int) else DONE
    except (CycloptsError, UsageError) as error:
        _say(f"{_one_line(error)} (see napari-coldatoms --help)")
        return USAGE
    except KeyboardInterrupt:
        _say("interrupted")
        return INTERRUPTED
    except BrokenPipeError:
        # the reader of our output, such as `head`, has seen enough; Python's own flush at exit
        # must not fail once more
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except Exception as error:
        if os.environ.get(TRACEBACK):
            traceback.print_exc()
        if isinstance(error, OSError) and ": expected " in str(error):
            _say(_one_line(error))  # in our own words
        else:
            _say(f"{type(error).__name__}: {_one_line(error)} ({TRACEBACK}=1 shows where)")
        return NOTHING


def _app() -> App:
    from cyclopts import App

    app = App(
        name="napari-coldatoms",
        help=HELP,
        help_epilogue=EXIT_CODES,
        help_format="plaintext",
        version=__version__,
    )
    for name, (module, text) in _COMMANDS.items():
        # by name, so that it is imported when it is run
        app.command(f"napari_coldatoms.cli.{module}:{name}", name=name, help=text)
    for group, (about, commands) in _GROUPS.items():
        inner = App(name=group, help=about, help_format="plaintext")
        for name, (function, text) in commands.items():
            inner.command(f"napari_coldatoms.cli.{group}:{function}", name=name, help=text)
        app.command(inner)
    return app


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()).rstrip(".") or type(error).__name__


def _say(text: str) -> None:
    print(f"napari-coldatoms: {text}", file=sys.stderr)
