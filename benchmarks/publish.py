"""`python -m benchmarks.publish` measures full cases for hours, stores the results, and updates the documents."""

import argparse
import sys
from pathlib import Path

from benchmarks.claims import record_claims
from benchmarks.pages import format_all_violated_bounds, write_pages
from benchmarks.plots import save_plots
from benchmarks.published import RECORDS_FOLDER, add_records, describe_machine, describe_run, read_machines
from benchmarks.suite import CASES, measure
from benchmarks.tables import print_tables, tabulate
from fastlin.cli.arguments import CommandError


def publish(cases, folder=RECORDS_FOLDER):
    """Measure cases one after another, store and print each result immediately, and return the failed cases."""
    machine, run, failed_cases = describe_machine(), describe_run(), []
    for case in cases:
        try:
            records = measure(case, is_full_run=True)
            failures = [f"{name}: {record['failure']}" for name, record in records.items() if record.get("failure")]
            if failures:
                raise RuntimeError("; ".join(failures))
        except NotImplementedError as error:
            print(f"{case}: skipped. {error}")
        except Exception as error:
            print(f"{case}: failed. {type(error).__name__}: {error}")
            failed_cases.append(case)
        else:
            add_records(machine, run, records, folder)
            print_tables(tabulate(records))
    return failed_cases


def main(arguments=None):
    """Measure the cases of the arguments, and update the documents."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.publish", description=__doc__.splitlines()[0])
    parser.add_argument("cases", nargs="*", metavar="case", help=f"one of {', '.join(CASES)}; default: all")
    parser.add_argument("--pages", action="store_true", help="measure nothing, only update the documents")
    parser.add_argument(
        "--claims", type=Path, metavar="RESULTS", help="measure nothing, but record the claims of a report's results"
    )
    options = parser.parse_args(arguments)
    if sum([bool(options.cases), options.pages, options.claims is not None]) > 1:
        parser.error("cases, --pages and --claims exclude one another")
    unknown_cases = [case for case in options.cases if case not in CASES]
    if unknown_cases:
        parser.error(f"{unknown_cases[0]!r} is not a case; the cases are {', '.join(CASES)}")
    try:
        read_machines()
    except CommandError as error:
        parser.error(str(error))
    if options.claims is not None:
        record_claims(options.claims)
    is_measured = not (options.pages or options.claims is not None)
    failed_cases = publish(options.cases or CASES) if is_measured else []
    machines = read_machines()
    save_plots(machines, RECORDS_FOLDER)
    write_pages(machines)
    own_machine_name = describe_machine()["name"]
    print(
        format_all_violated_bounds(
            {name: contents for name, contents in machines.items() if not is_measured or name == own_machine_name}
        )
    )
    return 1 if failed_cases else 0


if __name__ == "__main__":
    sys.exit(main())
