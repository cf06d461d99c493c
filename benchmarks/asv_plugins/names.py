"""Plugin of asv: what `asv run benchmarks` means, what a machine is called, and why a result is n/a.

asv itself would take "benchmarks" for a git range, many virtual machines share the name of a host, and asv shows why a
benchmark was skipped only with --show-stderr. The plugin lies in a folder without __init__.py, because asv imports
every module of the package benchmarks.
"""

import ast
import platform
from pathlib import Path

from asv import runner
from asv.commands.machine import Machine as MachineCommand
from asv.commands.run import Run
from asv.console import log
from asv.machine import Machine
from asv.repo import NoSuchNameError, get_repo

# How asv writes the parameters of a benchmark, and why one was skipped.
PARAMETERS, SKIPPED = "For parameters: ", "asv: skipped: NotImplementedError"


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
    log_result = runner.log_benchmark_result

    def log_with_reasons(results, benchmark, show_stderr=False):
        log_result(results, benchmark, show_stderr=show_stderr)
        for reason, names in find_reasons(results.stderr.get(benchmark["name"]) or "").items():
            of = f" ({'; '.join(names)})" if names else ""
            log.info(f"n/a: {reason}{of}", color="default")

    runner.log_benchmark_result = log_with_reasons
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


def find_reasons(output):
    """Return why benchmarks were skipped, by the output that asv has kept of them: reasons, with first parameters."""
    reasons, name = {}, None
    for line in output.splitlines():
        if line.startswith(PARAMETERS):
            name, *_ = ast.literal_eval(f"[{line.removeprefix(PARAMETERS)}]")
        elif line.startswith(SKIPPED):
            names = reasons.setdefault(ast.literal_eval(line.removeprefix(SKIPPED).strip()), [])
            if name is not None and name not in names:
                names.append(name)
    return reasons


def _names_folder(conf, range_spec):
    """Return whether the range is the benchmark folder, and not a branch, tag or commit of that name."""
    if range_spec is None or Path(range_spec).resolve() != Path(conf.benchmark_dir).resolve():
        return False
    try:
        get_repo(conf).get_hash_from_name(range_spec)
    except NoSuchNameError:
        return True
    return False
