"""Plugin of asv by which `asv run benchmarks` means `asv run`; asv itself would take the name for a git range.

It lies in a folder without __init__.py, because asv imports every module of the package benchmarks.
"""

from pathlib import Path

from asv.commands.run import Run
from asv.console import log
from asv.repo import NoSuchNameError, get_repo


def setup():
    """Replace asv's own function of the command; asv calls this once, after it has read its configuration."""
    asv_run = Run.run_from_conf_args

    def run(conf, args, **options):
        if _names_folder(conf, args.range):
            log.info(
                f'"{args.range}" is the folder of the benchmarks and no git range: running as "asv run" does without '
                f"it, which measures {' '.join(conf.branches)}, or what an existing environment holds."
            )
            args.range = None
        return asv_run(conf, args, **options)

    Run.run_from_conf_args = run


def _names_folder(conf, range_spec):
    """Return whether the range is the benchmark folder, and not a branch, tag or commit of that name."""
    if range_spec is None or Path(range_spec).resolve() != Path(conf.benchmark_dir).resolve():
        return False
    try:
        get_repo(conf).get_hash_from_name(range_spec)
    except NoSuchNameError:
        return True
    return False
