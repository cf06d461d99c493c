"""When a solver has arrived: the certificate, the history and the rules of stopping that all solvers share."""

from time import perf_counter

import numpy as np

from fastlin.solvers.solution import Iteration, Solution

# Rounding of J in float64, a few times: added to the certificate so that it stays an upper bound at the very end.
ROUNDING = 8 * np.finfo(np.float64).eps
# Without penalty, where every row is classified right, J has no minimum: it is followed down to this part of the loss
# of equal probabilities.
SEPARABLE_LOSS = 1e-4
# A bound that is foreseen for some point is tried out where it is below this part of what is asked for, and where the
# present bound is within so many times of it.
FORESIGHT = 0.9
TRIED = 1e4
# Near the end a bound that exceeds ||dJ/dW||^2 / (2 l2) so many times is due to the intercept, and worth a walk.
SETTLED = 5.0
# Iterations for which an estimate has to hold, and over how many its pace is taken.
PERSISTENCE = 5
SHORTEST_PACE, LONGEST_PACE = 3, 15
# Part of J without features below which a finer J changes no prediction.
NEGLIGIBLE = 0.01
REACHED = "tol is reached"
LIMITED = "max_iter is reached"
IMPATIENT = "another solver may do better"
AT_FLOOR = "the objective is at the floor that its precision sets"
# A solver that can still gain no more than this part of J has arrived, whatever tol asks for.
FLOOR = 1e-13
STALLED = "the objective no longer falls"
SEPARABLE = "the classes are separable by what is not penalised"


class Stopping:
    """The rule that ends a fit, and the record of how it went.

    Parameters
    ----------
    objective : LinearObjective
    tol : float
    rule : {"excess", "estimate", "gradient"}
        "excess": J is within tol * J of the optimum, by the certificate, or by the solver's estimate where there is
        none. "estimate": the certificate or, for some iterations on end, the pace at which J falls says so; a J below a
        part of the best without features counts as that part. "gradient": no entry of the gradient exceeds tol, as
        scikit-learn has it.
    max_iter : int
    on_iteration : callable or None
        Called with (n_iter, Iteration) after each iteration.
    """

    def __init__(self, objective, tol, rule, max_iter, on_iteration=None):
        self.objective = objective
        self.tol = tol
        self.rule = rule
        self.max_iter = max_iter
        self.history = []
        self._on_iteration = on_iteration
        self._started = perf_counter()
        self._lower_bound = -np.inf
        self._best = None
        self._met_since = None
        # Where all weight is on one class, J falls towards zero without end.
        is_single = np.count_nonzero(objective.class_weights) == 1
        self._smallest_value = np.log(len(objective.class_weights)) if is_single else 0.0

    def begin(self, parameters, precision=np.float64, evaluation=None):
        """Evaluate the start, where it is not; return its Evaluation and the bound, as `observe` has it.

        Raises
        ------
        OverflowError
            The objective or its gradient is not finite there.
        """
        if evaluation is None:
            evaluation = self.objective.evaluate(parameters, precision)
        if not evaluation.is_finite:
            raise OverflowError("the objective or its gradient is not finite at the start")
        return evaluation, self.observe(parameters, evaluation)

    def observe(self, parameters, evaluation):
        """Take note of a point: the best one is returned in the end, the best lower bound of J* kept.

        Returns
        -------
        float
            The upper bound on J - J* at this point; an estimate where it was not computed in float64.
        """
        lower_bound = self.objective.lower_bound(parameters, evaluation)
        if evaluation.precision == np.float64:
            self._lower_bound = max(self._lower_bound, lower_bound)
            if self._best is None or not evaluation.value > self._best[1].value:
                self._best = parameters, evaluation
            lower_bound = self._lower_bound
        return _bound(evaluation.value, lower_bound)

    def record(self, evaluation, bound):
        """Write an iteration into the history and tell the caller's function of it."""
        self.history.append(
            Iteration(
                evaluation.value,
                bound,
                evaluation.largest_entry,
                self.objective.n_passes,
                perf_counter() - self._started,
            )
        )
        if self._on_iteration is not None:
            self._on_iteration(len(self.history), self.history[-1])

    def target(self, evaluation, bound):
        """Return the bound worth a try to reach by other means than steps: zero where no bound is asked for."""
        if self.rule != "excess" or bound > TRIED * self.tol * evaluation.value:
            return 0.0
        return FORESIGHT * self.tol * evaluation.value

    def settle(self, parameters, evaluation):
        """Take note of a point computed in float64, and of one beside it where that gives the certificate.

        Where only the intercept keeps the bound from what is asked for, a Newton step of the intercept and one more
        walk over X settle it; the objective is then left as last evaluated there, next to the point.

        Returns
        -------
        float
            As `observe` has it.
        """
        bound = self.observe(parameters, evaluation)
        asked = self.tol * evaluation.value
        if self.rule != "excess" or bound == np.inf:
            return bound
        natural = self.objective.natural_gap(evaluation)
        if natural <= asked and min(asked, SETTLED * natural) < bound:
            settled = self.objective.settle_intercept(parameters, evaluation)
            if settled is not None:
                self.observe(settled, self.objective.evaluate(settled))
                bound = self.observe(parameters, evaluation)
        return bound

    def is_met(self, evaluation, bound, decrement):
        """Say whether a point has arrived, as far as the precision it was computed in can tell.

        decrement estimates J - J* where no bound exists: half the square of the Newton decrement.
        """
        if self.rule == "gradient":
            return evaluation.largest_entry <= self.tol
        if self.rule == "estimate" and bound < np.inf:
            asked = self.tol * max(evaluation.value, NEGLIGIBLE * self.objective.value_at_start())
            if not min(bound, self._excess_by_pace()) <= asked:
                self._met_since = None
            elif self._met_since is None:
                self._met_since = len(self.history)
            return self._met_since is not None and len(self.history) - self._met_since >= PERSISTENCE
        return (decrement if bound == np.inf else bound) <= self.tol * max(evaluation.value, self._smallest_value)

    def _excess_by_pace(self):
        """Return what J has still to fall if it goes on as in the last iterations: by equal parts in equal times."""
        values = [iteration.objective for iteration in self.history]
        n_steps = min(len(values) // 3, LONGEST_PACE)
        if n_steps < SHORTEST_PACE:
            return np.inf
        before, now = values[-1 - 2 * n_steps] - values[-1 - n_steps], values[-1 - n_steps] - values[-1]
        if now <= 0:
            return 0.0
        return now * now / (before - now) if now < before else np.inf

    def why(self, evaluation, bound, decrement):
        """Return why to end at a point, or an empty text; it has arrived where float64 says so."""
        is_met = evaluation.precision == np.float64 and self.is_met(evaluation, bound, decrement)
        limit = SEPARABLE_LOSS * np.log(len(self.objective.class_weights))
        is_free = not (self.objective.penalties.any() or self.objective.thresholds.any())
        if ((is_met and is_free) or evaluation.value < limit) and self._is_separated(evaluation):
            return SEPARABLE
        if is_met:
            return REACHED
        return LIMITED if len(self.history) >= self.max_iter else ""

    def why_stalled(self, evaluation, bound, decrement):
        """Return why no step goes on from a point: that it is within tol, or at the floor with next to nothing left."""
        if self.rule != "gradient" and bound <= self.tol * evaluation.value:
            return REACHED
        return AT_FLOOR if 0 <= decrement <= FLOOR * abs(evaluation.value) else STALLED

    def _is_separated(self, evaluation):
        """Say whether something is not penalised and every row is proven to be classified right.

        Where nothing is penalised J then has no minimum; else where it falls on towards zero.

        A loss below log(2) of a row puts its label's probability above one half, whatever the others are; so does
        the sum of all, where it is below the smallest weight times log(2).
        """
        objective = self.objective
        if objective.is_bounded:
            return False
        weights = objective.weights
        smallest = weights[weights > 0].min() if len(weights) else 1.0
        return evaluation.loss * objective.total_weight < smallest * np.log(2)

    def solution(self, message):
        """Return the best point seen in float64."""
        parameters, evaluation = self._best
        certificate = _bound(evaluation.value, self._lower_bound)
        converged = message in (REACHED, AT_FLOOR)
        return Solution(
            parameters, evaluation.value, evaluation.gradient, certificate, converged, message, self.history
        )


def _bound(value, lower_bound):
    """Return the upper bound on J - J* that a lower bound of J* gives, with room for rounding."""
    return float(max(0.0, value - lower_bound) + ROUNDING * abs(value))
