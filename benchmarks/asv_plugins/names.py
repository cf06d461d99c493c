"""asv plugin that accepts `asv run benchmarks`, names machines after their processor, and shows why a result is n/a.

asv itself would interpret "benchmarks" as a git range. Many virtual machines have the same host name. asv shows the
reason for a skip only with --show-stderr. The plugin is in a folder without __init__.py, because asv imports all
modules of the package benchmarks.
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

# asv's output marks the parameters of a benchmark, and the reason for a skip, with these prefixes.
PARAMETERS_PREFIX, SKIP_PREFIX = "For parameters: ", "asv: skipped: NotImplementedError"


def setup():
    """Patch functions of asv. asv calls this function once, after reading its configuration."""
    asv_run = Run.run_from_conf_args

    def run(conf, args, **options):
        if _is_benchmark_folder(conf, args.range):
            log.info(
                f'"{args.range}" is the benchmark folder, not a git range. It is ignored, so asv measures '
                f"{' '.join(conf.branches)}, or the version in an existing environment."
            )
            args.range = None
        return asv_run(conf, args, **options)

    Run.run_from_conf_args = run
    log_result = runner.log_benchmark_result

    def log_result_with_skip_reasons(results, benchmark, show_stderr=False):
        log_result(results, benchmark, show_stderr=show_stderr)
        for reason, skipped_cases in find_skip_reasons(results.stderr.get(benchmark["name"]) or "").items():
            benchmarks = f" ({'; '.join(skipped_cases)})" if skipped_cases else ""
            log.info(f"n/a: {reason}{benchmarks}", color="default")

    runner.log_benchmark_result = log_result_with_skip_reasons
    try:
        from benchmarks.published import describe_machine
    except ImportError:
        # asv runs in an environment without fastlin.
        return
    machine_name = describe_machine()["name"]
    get_defaults, run_machine_command = Machine.get_defaults, MachineCommand.run

    def run_command_with_machine_name(**options):
        # asv read its defaults before it loaded this plugin.
        if options.get("machine") == platform.node():
            options["machine"] = machine_name
        return run_machine_command(**options)

    Machine.hardcoded_machine_name = machine_name
    Machine.get_defaults = staticmethod(lambda: {**get_defaults(), "machine": machine_name})
    MachineCommand.run = run_command_with_machine_name


def find_skip_reasons(benchmark_output):
    """Return a dict from each reason for a skip in a benchmark's output to the first parameters of the skipped runs."""
    skipped_cases, case_name = {}, None
    for line in benchmark_output.splitlines():
        if line.startswith(PARAMETERS_PREFIX):
            case_name, *_ = ast.literal_eval(f"[{line.removeprefix(PARAMETERS_PREFIX)}]")
        elif line.startswith(SKIP_PREFIX):
            reason_cases = skipped_cases.setdefault(ast.literal_eval(line.removeprefix(SKIP_PREFIX).strip()), [])
            if case_name is not None and case_name not in reason_cases:
                reason_cases.append(case_name)
    return skipped_cases


def _is_benchmark_folder(conf, range_spec):
    """Return whether the range is the benchmark folder rather than a branch, tag or commit with the same name."""
    if range_spec is None or Path(range_spec).resolve() != Path(conf.benchmark_dir).resolve():
        return False
    try:
        get_repo(conf).get_hash_from_name(range_spec)
    except NoSuchNameError:
        return True
    return False
