"""The benchmarks of fastlin: an asv suite in these modules, pytest-benchmark files in the folder pytest."""
