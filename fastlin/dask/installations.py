"""What is installed on the workers: kernels of other sources, or other versions, give other bits, or none."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from importlib.metadata import version

import distributed

from fastlin import __version__
from fastlin.extras import tell_install
from fastlin.kernels.machine.cache_folder import hash_sources

PACKAGES = ("numba", "numpy", "scikit-learn")


def describe_installation() -> dict[str, str]:
    """Return the versions of fastlin and of what it computes with, and the hash of its kernels, by names."""
    return {
        "fastlin": __version__,
        **{package: version(package) for package in PACKAGES},
        "kernels with the hash": hash_sources(),
    }


def check_workers(
    client: distributed.Client, worker_timeout: float, addresses: Iterable[str] | None = None
) -> set[str]:
    """Return the workers that have what the client has, among some addresses or all, but for those that are lost.

    It takes a few milliseconds. A worker that does not answer for worker_timeout seconds counts as lost.
    """
    own, same = describe_installation(), set()
    workers = sorted(client.nthreads() if addresses is None else addresses)

    async def ask(address):
        coming = client.run(describe_installation, workers=[address], on_error="return")
        try:
            return (await asyncio.wait_for(coming, worker_timeout))[address]
        except TimeoutError as error:
            return error

    async def ask_all():
        return await asyncio.gather(*map(ask, workers))

    for address, found in zip(workers, client.sync(ask_all), strict=True):
        if isinstance(found, OSError):
            continue
        if isinstance(found, Exception):
            raise RuntimeError(
                f"The worker {address} cannot say what is installed there ({type(found).__name__}: {found}). It needs "
                f"fastlin {__version__}, as the client has it: {tell_install('dask')}"
            ) from found
        for name, expected in own.items():
            if found.get(name) != expected:
                raise RuntimeError(
                    f"The worker {address} has {name} {found.get(name)}, but the client has {expected}. Install "
                    "the same versions on the client and on all workers: others give other models, or none."
                )
        same.add(address)
    return same
