"""Plugin of asv: `asv run benchmarks` means `asv run`, and a machine has the name of its processor.

asv itself would take "benchmarks" for a git range, and many virtual machines share the name of a host. The plugin lies
in a folder without __init__.py, because asv imports every module of the package benchmarks.
"""

import platform
from pathlib import Path

from asv.commands.machine import Machine as MachineCommand
from asv.commands.run import Run
from asv.console import log
from asv.machine import Machine
from asv.repo import NoSuchNameError, get_repo


def setup():
    """Replace functions of asv; asv calls this once, after it has read its configuration."""
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
    try:
        from benchmarks.published import describe_machine
    except ImportError:
        # asv runs where fastlin is not installed.
        return
    name = describe_machine()["name"]
    get_defaults, describe = Machine.get_defaults, MachineCommand.run

    def describe_by_name(**options):
        # asv has read its defaults before this plugin.
        if options.get("machine") == platform.node():
            options["machine"] = name
        return describe(**options)

    Machine.hardcoded_machine_name = name
    Machine.get_defaults = staticmethod(lambda: {**get_defaults(), "machine": name})
    MachineCommand.run = describe_by_name


def _names_folder(conf, range_spec):
    """Return whether the range is the benchmark folder, and not a branch, tag or commit of that name."""
    if range_spec is None or Path(range_spec).resolve() != Path(conf.benchmark_dir).resolve():
        return False
    try:
        get_repo(conf).get_hash_from_name(range_spec)
    except NoSuchNameError:
        return True
    return False
