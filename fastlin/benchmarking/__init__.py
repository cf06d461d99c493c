"""Comparisons of libraries: the problems, the libraries, their processes, and the timing of fits."""
