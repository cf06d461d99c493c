"""Learning rate schedules."""

from dataclasses import dataclass

# At each reduction, an adaptive rate is divided by ADAPTIVE_DIVISOR, until it is at most SMALLEST_ADAPTIVE.
ADAPTIVE_DIVISOR = 5.0
SMALLEST_ADAPTIVE = 1e-6


@dataclass(frozen=True)
class LearningRate:
    """A learning rate schedule of `MLPClassifier`, with an additional factor `decay` per epoch."""

    initial: float
    course: str = "constant"
    decay: float = 1.0
    power: float = 0.5

    def at(self, n_epochs: int, n_rows: int = 0, n_renewed: int = 0) -> float:
        """Return the learning rate after `n_epochs` epochs, `n_rows` training rows and `n_renewed` reductions."""
        rate = self.initial * self.decay**n_epochs
        if self.course == "invscaling" and n_epochs > 0:
            return rate / (n_rows + 1) ** self.power
        if self.course == "adaptive":
            # The division is repeated, as in scikit-learn. A single division of 0.003125 by 5^5 rounds differently.
            for _ in range(n_renewed):
                rate /= ADAPTIVE_DIVISOR
        return rate

    @property
    def n_renewals(self) -> int:
        """The number of times that the rate is lowered before the training run ends."""
        n_renewals = 0
        while self.course == "adaptive" and self.at(0, n_renewed=n_renewals) > SMALLEST_ADAPTIVE:
            n_renewals += 1
        return n_renewals
