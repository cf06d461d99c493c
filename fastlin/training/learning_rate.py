"""The learning rate of each epoch, as a value that follows from the progress of the training."""

from dataclasses import dataclass

# An adaptive rate falls to a fifth, and no more once it is this small.
ADAPTIVE_DIVISOR = 5.0
SMALLEST_ADAPTIVE = 1e-6


@dataclass(frozen=True)
class LearningRate:
    """The learning rate from epoch to epoch, which `MLPClassifier` describes, times `decay` after each."""

    initial: float
    course: str = "constant"
    decay: float = 1.0
    power: float = 0.5

    def at(self, n_epochs: int, n_rows: int = 0, n_renewed: int = 0) -> float:
        """Return the rate after n_epochs epochs, n_rows rows trained on, and n_renewed renewals of the patience."""
        rate = self.initial * self.decay**n_epochs
        if self.course == "invscaling" and n_epochs > 0:
            return rate / (n_rows + 1) ** self.power
        if self.course == "adaptive":
            # One after the other, as scikit-learn divides: 0.003125 / 5^5 is another number.
            for _ in range(n_renewed):
                rate /= ADAPTIVE_DIVISOR
        return rate

    @property
    def n_renewals(self) -> int:
        """How many times an exhausted patience lowers the rate instead of ending the training."""
        n_renewals = 0
        while self.course == "adaptive" and self.at(0, n_renewed=n_renewals) > SMALLEST_ADAPTIVE:
            n_renewals += 1
        return n_renewals
