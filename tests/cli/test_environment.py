"""The description of where the program runs."""

import json

import numpy as np

import fastlin
from fastlin.cli.environment import describe_environment
from fastlin.kernels.machine.threads import count_threads


def test_the_description_is_plain_and_true():
    environment = describe_environment()
    assert json.loads(json.dumps(environment)) == environment
    assert environment["fastlin"] == fastlin.__version__
    assert environment["numpy"] == np.__version__
    assert environment["threads"] == count_threads()
    assert environment["processor"].endswith(")")
