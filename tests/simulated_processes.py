"""A process that fits no rows, for tests of comparisons."""


class SimulatedProcess:
    """A process that records its fits. The number of threads determines their seconds, and None means a timeout.

    The seconds of the fits in the next processes are multiplied by the next `factors`. A None in `factors` is a process
    that fails.
    """

    def __init__(self, seconds, factors=()):
        self.seconds, self.factors, self.calls, self.has_answered = seconds, list(factors), [], True

    def call(self, function, baseline, rows, effort, n_threads, n_repeats, allowed_seconds, should_measure, seconds):
        """Return the seconds of a fit and its measures, or raise a TimeoutError."""
        self.calls.append((rows, n_threads))
        if self.seconds is None:
            raise ChildProcessError("its process has ended")
        self.has_answered = rows != "rows" or self.seconds[n_threads] is not None
        if not self.has_answered:
            raise TimeoutError
        # The sample is fitted on all threads.
        return [self.seconds.get(n_threads)], {"objective": 1.0}

    def stop(self):
        """Start the next process."""
        factor, self.has_answered = self.factors.pop(0), False
        if factor is None:
            self.seconds = None
        else:
            self.seconds = {n_threads: factor * seconds for n_threads, seconds in self.seconds.items()}
