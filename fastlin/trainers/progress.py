"""The bar of a training: its steps, and beside them what the training says of itself."""

import contextlib


def make_bar(n_steps, shown):
    """Return a bar to show n_steps in, a context manager; one that shows nothing where it is not to be shown."""
    return _Bar(n_steps) if shown and n_steps else _NoBar()


class _Bar:
    def __init__(self, n_steps):
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        self._progress = Progress(
            TextColumn("training"),
            BarColumn(),
            TextColumn("step {task.completed}/{task.total}  {task.fields[figures]}"),
            TimeRemainingColumn(),
        )
        self._task = self._progress.add_task("training", total=n_steps, figures="")

    def __enter__(self):
        self._progress.start()
        return self

    def __exit__(self, *error):
        self._progress.stop()

    def show(self, step, **figures):
        """Show how many steps were taken, and figures by their names."""
        figures = "  ".join(f"{name} {value}" for name, value in figures.items())
        self._progress.update(self._task, completed=step, figures=figures)

    def finish(self):
        """Show that all steps were taken."""
        self._progress.update(self._task, completed=self._progress.tasks[0].total)


class _NoBar(contextlib.nullcontext):
    def show(self, step, **figures):
        pass

    def finish(self):
        pass
