"""The main job on a bundled sample, in a real napari window: what `make demo` shows."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_coldatoms.backend.run import Run

PLUGIN = "napari-coldatoms"
SAMPLE = "mot_and_odt"
WINDOW = (1600, 1000)
DOCK_WIDTH = 470
REPORTED = (
    "label",
    *("wx_um", "wy_um", "x0_um", "y0_um", "theta", "peak", "background"),
    *("integral_um2", "reduced_chi2", "quality", "score"),
)
TIMEOUT = 120.0
"""Seconds after which a run that has not ended is given up."""


def run_demo(output: Path) -> int:
    """Open a sample, find the clouds, and show or save what came out.

    With the environment variable ``COLDATOMS_HEADLESS`` set, the result goes into `output` (table,
    recipe, layers and a screenshot of the window) and the table to standard output; otherwise the
    window stays open as well.

    Parameters
    ----------
    output : Path
        Folder for the files; made where it is missing.

    Returns
    -------
    int
        The exit code: 0, or 1 where there is no screen or the run failed.
    """
    headless = bool(os.environ.get("COLDATOMS_HEADLESS"))
    if _no_screen():
        print(
            "napari-coldatoms demo: there is no screen to open a window on; "
            'use `make demo`, or `xvfb-run -a -s "-screen 0 1600x1000x24" napari-coldatoms demo`',
            file=sys.stderr,
        )
        return 1
    output = Path(output)
    output.mkdir(parents=True, exist_ok=True)
    with own_settings(headless):
        import napari
        from qtpy.QtCore import Qt

        viewer = napari.Viewer()
        if headless:
            viewer.window.resize(*WINDOW)
        try:
            viewer.open_sample(PLUGIN, SAMPLE)
            dock, widget = viewer.window.add_plugin_dock_widget(PLUGIN, "Detect clouds")
            if headless:
                # room for the first numbers of the table in the picture
                dock.parent().resizeDocks([dock], [DOCK_WIDTH], Qt.Orientation.Horizontal)
            widget.run()
            wait_until(lambda: not widget.busy)
            if widget.result is None or widget.result.table.empty:
                print(f"napari-coldatoms demo: {widget.status.text()}", file=sys.stderr)
                return 1
            print(report(widget.result))
            files = save(widget.result, output)
            files.append(screenshot(viewer, output / "screenshot.png"))
            print(f"\nWritten to {output.resolve()}:")
            for path in files:
                print(f"  {path.name}")
            if not headless:
                napari.run()
        finally:
            if headless:
                viewer.close()
    return 0


def report(run: Run) -> str:
    """Return the table of a run as text: a column for each cloud, numbers with standard errors."""
    from napari_coldatoms.widgets.table import columns, value_text

    by_name = {column.name: column for column in columns(run.table)}
    wanted = [by_name[name] for name in REPORTED if name in by_name]
    rows = [["cloud", *(str(n) for n in run.table["cloud"])]]
    for column in wanted:
        errors = run.table[column.stderr] if column.stderr else [None] * len(run.table)
        values = zip(run.table[column.name].tolist(), errors, strict=True)
        title = f"{column.title} ({column.unit})" if column.unit else column.title
        rows.append([title, *(value_text(value, error) for value, error in values)])
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)) for row in rows]
    lines.insert(1, "-" * len(lines[0]))
    return "\n".join([f"{run.stack.name}: {len(run.table)} clouds", "", *map(str.rstrip, lines)])


def save(run: Run, output: Path) -> list[Path]:
    """Write table, recipe and layers of a run into a folder, and return the files."""
    from napari_coldatoms.backend.layer_files import write_run
    from napari_coldatoms.backend.tables import write_csv

    table = output / "table.csv"
    write_csv(run.table, table)
    recipe = output / "recipe.yaml"
    run.recipe.save(recipe)
    return [table, recipe, *write_run(run, output, "clouds")]


def screenshot(viewer: Any, path: Path) -> Path:
    """Save a picture of the whole window as it stands."""
    wait(0.5)
    viewer.screenshot(str(path), canvas_only=False, flash=False)
    return path


def wait(seconds: float) -> None:
    """Let the window live for a while."""
    from qtpy.QtWidgets import QApplication

    end = time.monotonic() + seconds
    while time.monotonic() < end:
        QApplication.processEvents()
        time.sleep(0.01)


def wait_until(reached: Callable[[], bool], timeout: float = TIMEOUT) -> None:
    """Let the window live until something is reached.

    Raises
    ------
    TimeoutError
        After `timeout` seconds.
    """
    end = time.monotonic() + timeout
    while not reached():
        if time.monotonic() > end:
            raise TimeoutError(f"the run has not ended after {timeout:.0f} s")
        wait(0.02)


def _no_screen() -> bool:
    if sys.platform != "linux":
        return False
    return not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


@contextmanager
def own_settings(headless: bool) -> Iterator[None]:
    """Keep the user's napari settings and remembered parameters as they are."""
    with tempfile.TemporaryDirectory() as folder:
        own = {"COLDATOMS_CONFIG": folder}
        if headless:
            own["NAPARI_CONFIG"] = str(Path(folder) / "napari.yaml")
        before = {name: os.environ.get(name) for name in own}
        os.environ.update(own)
        try:
            yield
        finally:
            for name, value in before.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value
