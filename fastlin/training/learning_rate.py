"""Learning rate schedules."""

from dataclasses import dataclass

# An adaptive rate is divided by 5 each time, until it is at most this small.
ADAPTIVE_DIVISOR = 5.0
SMALLEST_ADAPTIVE = 1e-6


@dataclass(frozen=True)
class LearningRate:
    """A learning rate schedule, as `MLPClassifier` describes it, multiplied by `decay` after each epoch."""

    initial: float
    course: str = "constant"
    decay: float = 1.0
    power: float = 0.5

    def at(self, n_epochs: int, n_rows: int = 0, n_renewed: int = 0) -> float:
        """Return the rate after n_epochs epochs, n_rows training rows, and n_renewed reductions."""
        rate = self.initial * self.decay**n_epochs
        if self.course == "invscaling" and n_epochs > 0:
            return rate / (n_rows + 1) ** self.power
        if self.course == "adaptive":
            # Repeated division, as in scikit-learn: 0.003125 / 5^5 rounds differently.
            for _ in range(n_renewed):
                rate /= ADAPTIVE_DIVISOR
        return rate

    @property
    def n_renewals(self) -> int:
        """The number of times that the rate is lowered instead of stopping the training."""
        n_renewals = 0
        while self.course == "adaptive" and self.at(0, n_renewed=n_renewals) > SMALLEST_ADAPTIVE:
            n_renewals += 1
        return n_renewals
