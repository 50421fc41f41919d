"""Show a run's progress, on any machine that sees its folder: python scripts/progress.py [STUDY]."""

import argparse
import time
from pathlib import Path

from regfold.errors import RegfoldError, ending_the_process
from regfold.runtime import progress
from regfold.workflow import progress_view
from rich.console import Console
from rich.live import Live


def main() -> None:
    """Print the progress once; with --watch, update it until the run has ended or Ctrl-C is pressed."""
    parser = argparse.ArgumentParser(description="Show a run's progress: cells, epochs, losses, time left.")
    parser.add_argument("study", nargs="?", default=".", help="the folder where Snakemake runs (default: .)")
    parser.add_argument("--watch", action="store_true", help="update until the run has ended")
    arguments = parser.parse_args()
    folder = Path(arguments.study) / progress.FOLDER
    if not folder.is_dir():
        raise RegfoldError(f"{folder}: not found; expected a study in which a run was started")
    view, console = progress_view.look(folder), Console()
    if not arguments.watch:
        console.print(progress_view.render(view))
        return
    with Live(progress_view.render(view), console=console, auto_refresh=False) as live:
        while view.goes_on:
            time.sleep(1)
            view = progress_view.look(folder)
            live.update(progress_view.render(view), refresh=True)


if __name__ == "__main__":
    try:
        with ending_the_process():
            main()
    except KeyboardInterrupt:
        raise SystemExit(130) from None
