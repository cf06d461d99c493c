"""The version, where a build can read it without importing what the package needs."""

__version__ = "0.1.0"
