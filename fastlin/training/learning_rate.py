"""Learning rate schedules."""

from dataclasses import dataclass

# At each reduction, an adaptive rate is divided by ADAPTIVE_RATE_DIVISOR, until it is at most MIN_ADAPTIVE_RATE.
ADAPTIVE_RATE_DIVISOR = 5.0
MIN_ADAPTIVE_RATE = 1e-6


@dataclass(frozen=True)
class LearningRate:
    """A learning rate schedule of `MLPClassifier`, with an additional factor `decay` per epoch."""

    initial_rate: float
    kind: str = "constant"
    decay: float = 1.0
    power: float = 0.5

    def at(self, n_epochs: int, n_rows: int = 0, n_rate_reductions: int = 0) -> float:
        """Return the learning rate after `n_epochs` epochs, `n_rows` rows and `n_rate_reductions` reductions."""
        rate = self.initial_rate * self.decay**n_epochs
        if self.kind == "invscaling" and n_epochs > 0:
            return rate / (n_rows + 1) ** self.power
        if self.kind == "adaptive":
            # The division is repeated, as in scikit-learn. A single division of 0.003125 by 5^5 rounds differently.
            for _ in range(n_rate_reductions):
                rate /= ADAPTIVE_RATE_DIVISOR
        return rate

    @property
    def max_rate_reductions(self) -> int:
        """The number of times that the rate is lowered before the training run ends."""
        max_rate_reductions = 0
        while self.kind == "adaptive" and self.at(0, n_rate_reductions=max_rate_reductions) > MIN_ADAPTIVE_RATE:
            max_rate_reductions += 1
        return max_rate_reductions
