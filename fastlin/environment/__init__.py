"""The environment of a process: installed packages, files, the terminal, and signals."""
