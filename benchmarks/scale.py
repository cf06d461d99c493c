"""How long a fit over many workers takes: a model of it, and the runs on this machine that the model is held against.

``python -m benchmarks.scale`` measures passes by one and two worker processes, with and without a delay and a limit on
the bandwidth of each message, beside what the model says of them; then it prints what the model says of large clusters.
"""

import asyncio
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from math import ceil, log

import numpy as np

from benchmarks.races import measure_in_turn

# Sums are float64. Parameters are sent as float32 for float32 data as far as that goes.
SUM_BYTES, PARAMETER_BYTES = 8, 4
N_TURNS = 15
# Bytes of float32 that a thread passes over in a second, of 1,000 columns, by K (AMD EPYC, virtual).
READ_RATES = {1: 6.8e9, 10: 2.8e9, 100: 0.375e9}
# What the tables take for granted of a worker and of the network.
THREADS, DELAY, N_PASSES = 8, 0.0005, 20
# Workers of Dask give freed memory back to the system at once, and a pass then takes a quarter longer.
KEEP_MEMORY = {
    "distributed.nanny.pre-spawn-environ.MALLOC_TRIM_THRESHOLD_": 128 << 20,
    "distributed.nanny.pre-spawn-environ.MALLOC_MMAP_THRESHOLD_": 32 << 20,
}


@dataclass(frozen=True)
class Cluster:
    """What a fit runs on.

    Attributes
    ----------
    n_workers : int
        The number of workers.
    read_rate : float
        Bytes of X that a worker passes over in a second.
    call : float
        Seconds that a call with next to no work takes.
    call_each : float
        Seconds of the client for each worker that it calls.
    delay : float
        Seconds that a message is on its way.
    bandwidth : float
        Bytes a second that the client, or a worker, sends or receives.
    """

    n_workers: int
    read_rate: float
    call: float = 0.003
    call_each: float = 0.0015
    delay: float = 0.0
    bandwidth: float = 1.25e9


@dataclass(frozen=True)
class Pass:
    """What a pass takes, in seconds: the sums of the slowest worker, and the messages by a star and by a tree.

    Attributes
    ----------
    compute : float
        The sums.
    star : float
        Messages between the client and each worker, one after the other through the client's line.
    tree : float
        Messages along a tree of workers, each of which has `fan_out` more behind it.
    """

    compute: float
    star: float
    tree: float

    @property
    def seconds(self):
        """The pass as fastlin makes it."""
        return self.compute + self.star


def predict_pass(cluster, data_bytes, n_parameters, fan_out=8):
    """Return the Pass over so many bytes of X, for K (d + 1) parameters."""
    W = cluster.n_workers
    message = n_parameters * (PARAMETER_BYTES + SUM_BYTES) / cluster.bandwidth
    star = cluster.call + 2 * cluster.delay + W * (cluster.call_each + message)
    depth = max(1, ceil(log(W, fan_out))) if W > 1 else 1
    tree = depth * (cluster.call + 2 * cluster.delay + min(W, fan_out) * (cluster.call_each + message))
    return Pass(data_bytes / W / cluster.read_rate, star, tree)


@contextmanager
def slow_messages(delay, bandwidth):
    """Make each message of a call take longer, by a delay and by its bytes, inside the ``with`` block."""
    from fastlin.dask.cluster import Placed

    ask = Placed.ask

    async def ask_slowly(self, client, method, arguments):
        sent = sum(getattr(argument, "nbytes", 0) for argument in arguments)
        await asyncio.sleep(delay + sent / bandwidth)
        found = await ask(self, client, method, arguments)
        received = sum(gradient.nbytes for _, gradient in found[0].values()) if method == "sum" else 0
        await asyncio.sleep(delay + received / bandwidth)
        return found

    Placed.ask = ask_slowly
    try:
        yield
    finally:
        Placed.ask = ask


def make_part(number, n_rows, n_features, n_classes):
    """Return the Part of a partition of noise, in float32."""
    from fastlin.dask.parts import decode, describe, encode

    generator = np.random.default_rng(number)
    X = generator.standard_normal((n_rows, n_features), np.float32)
    part = decode(X, np.arange(n_rows) % n_classes, None, f"Partition {number}")
    description, _ = describe(part)
    return encode(part, X.dtype, np.arange(n_classes), None, description)


def measure_passes(n_workers, shape, settings, n_parts=16):
    """Return the median seconds of a pass for each setting of delay and bandwidth, all taking turns.

    Beside them "call" stands for a call without work, and "alone" for a pass by one process with as many threads.

    Parameters
    ----------
    n_workers : int
        The number of processes, with a thread each.
    shape : tuple of int
        Rows, features and classes.
    settings : sequence of tuple of float
        Delays and bandwidths of messages.
    n_parts : int
        The number of partitions.
    """
    import dask
    from distributed import Client, LocalCluster

    from fastlin.dask.cluster import Cluster as Workers
    from fastlin.dask.shard import Shard, find_over_passes
    from fastlin.kernels.machine.tiles import Scaling
    from fastlin.matrices import pieces

    n, d, K = shape
    scaling = Scaling(np.ones(d), np.zeros(d))
    evaluation = find_over_passes, pieces.add_evaluated, None, pieces.evaluate, scaling, K
    parameters = np.zeros((K, d + 1), np.float32)
    sizes = n // n_parts, d, K
    with (
        dask.config.set(KEEP_MEMORY),
        LocalCluster(n_workers=n_workers, threads_per_worker=1, dashboard_address=":0") as cluster,
        Client(cluster) as client,
    ):
        addresses = sorted(client.nthreads())
        # Consecutive ones on one worker, as a fit places them.
        parts = [
            client.submit(make_part, i, *sizes, workers=[addresses[i * n_workers // n_parts]], pure=False)
            for i in range(n_parts)
        ]
        workers = Workers(client, parts, worker_timeout=60, known_workers=set(addresses))
        shard = Shard({i: make_part(i, *sizes) for i in range(n_parts)}, n_parts, n_workers)

        def evaluate(delay, bandwidth):
            with slow_messages(delay, bandwidth):
                workers.call("sum", *evaluation, parameters)

        calls = {pair: partial(evaluate, *pair) for pair in settings}
        calls["call"] = lambda: workers.call("__sizeof__")
        calls["alone"] = lambda: shard.run("sum", *evaluation, parameters)
        seconds = measure_in_turn(calls, N_TURNS)
        workers.release()
    return seconds


def main():
    """Print both tables."""
    shape = n, d, K = 320_000, 400, 10
    n_bytes, n_parameters = 4 * n * d, K * (d + 1)
    settings = [(0.0, np.inf), (0.005, np.inf), (0.02, np.inf), (0.0, 10e6)]
    for n_workers in (1, 2):
        seconds = measure_passes(n_workers, shape, settings)
        call, alone = seconds.pop("call"), seconds.pop("alone")
        print(
            f"{n_workers} workers: a call without work {1e3 * call:.1f} ms, a pass in one process {1e3 * alone:.1f} ms"
        )
        for (delay, bandwidth), measured in seconds.items():
            # Messages of the test go side by side, so that each worker has its own bandwidth.
            cluster = Cluster(n_workers, n_bytes / n_workers / alone, call, 0.0, delay, bandwidth * n_workers)
            predicted = predict_pass(cluster, n_bytes, n_parameters).seconds
            print(
                f"  delay {1e3 * delay:4.0f} ms, {bandwidth / 1e6:5.0f} MB/s: measured {1e3 * measured:6.1f} ms, "
                f"predicted {1e3 * predicted:6.1f} ms"
            )
    for K, read_rate in READ_RATES.items():
        for n_workers in (10, 100, 1000):
            cluster = Cluster(n_workers, THREADS * read_rate, delay=DELAY)
            each = predict_pass(cluster, 4e12, K * 1001)
            print(
                f"1e9 x 1000, K = {K:3d}, {n_workers:4d} workers: sums {each.compute:7.2f} s, star {each.star:5.2f} s, "
                f"tree {each.tree:5.2f} s, {N_PASSES} passes {N_PASSES * each.seconds:7.0f} s"
            )


if __name__ == "__main__":
    main()
