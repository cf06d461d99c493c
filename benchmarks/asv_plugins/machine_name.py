"""Plugin of asv that names a machine by its processor, since many virtual machines share the name of a host."""

import platform

from asv.commands.machine import Machine as MachineCommand
from asv.machine import Machine


def setup():
    """Replace the name in asv's defaults; asv calls this once, after it has read its configuration."""
    try:
        from benchmarks.machine import describe_machine
    except ImportError:
        # asv runs where fastlin is not installed.
        return
    name = describe_machine()["name"]
    get_defaults, run_command = Machine.get_defaults, MachineCommand.run

    def run(**options):
        # asv has read its defaults before this plugin.
        if options.get("machine") == platform.node():
            options["machine"] = name
        return run_command(**options)

    Machine.hardcoded_machine_name = name
    Machine.get_defaults = staticmethod(lambda: {**get_defaults(), "machine": name})
    MachineCommand.run = run
