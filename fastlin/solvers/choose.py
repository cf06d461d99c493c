"""Which solver minimises an objective of a given shape: the rule behind solver="auto", with its measurements."""

from functools import partial

from fastlin.solvers import lbfgs, newton_cg, newton_cholesky, preconditioners, proximal_newton
from fastlin.solvers.stopping import IMPATIENT, REACHED, STALLED, Stopping

# Of the preconditioner the Hessian of all pairs of classes, from a sample of the rows, for up to so many parameters:
# Letter (16,000 x 16, 26 classes) to 1e-6 in 0.07 s, with a block for each class 0.15 s; digits (650 parameters) in
# 0.11 and 0.03 s.
MAX_HESSIAN = 600
# Multiply-adds of the whole Hessian, below which Newton's steps with it are the fastest: 569 x 30, two classes, takes
# 1.2 ms, by L-BFGS 1.8; 2,000 x 12, 5 classes, 3.9 and 2.7. Sparse 16,000 x 123 with 14 entries a row has 3 million.
MAX_NEWTON_WORK = 4_000_000
# solver="newton-cholesky" builds the whole Hessian of all rows in each step: beyond this L-BFGS takes over.
MAX_NEWTON_CHOLESKY = 4096
# What a preconditioner may take: a part of X, or so many bytes. On MNIST in float32 (188 MB) the blocks of ten classes
# take 12 MB, and the fit 1.3 s and 50 iterations; the one block for all classes takes 1.2 MB, and the fit 1.5 s and 78
# iterations.
ROOM_PART = 0.2
MIN_ROOM = 14 << 20
# Iterations of L-BFGS after which truncated Newton takes over: standardised digits at C = 1e4 are at 150 times the
# minimum after 1,000 of them, and at the minimum after 29 steps of Newton.
PATIENCE = 100
# The preconditioner is built anew after so many iterations, and where that takes more than CHEAP_WORK multiply-adds,
# only once: the blocks of MNIST take as long as 15 walks.
REFRESHES = (4, 12, 36, 108)
EXPENSIVE_REFRESHES = (15,)
CHEAP_WORK = 200_000_000
# A first solution on a sample of so many rows a column, where the data have SAMPLE_PART times more. On MNIST its 25
# iterations cost as much as 4 walks, and reach what takes 15 to 20.
SAMPLE_ROWS_PER_COLUMN = 12
MIN_SAMPLE = 5_000
SAMPLE_PART = 4
SAMPLE_ITERATIONS = 25
SAMPLE_TOL = 1e-3


def minimize(objective, start, *, solver, tol, max_iter, on_iteration=None, proven=True, near=None):
    """Minimise an objective by the solver of a name.

    Parameters
    ----------
    objective : LinearObjective
    start : ndarray of shape (K, d + 1), list of them, or None
        Of several the best. None, and any start that is worse than that: from the class frequencies, as far out the
        loss has no curvature.
    solver : str
        "auto", which also means that tol bounds the relative excess of J; any name of scikit-learn's, with which
        tol bounds the largest entry of the gradient.
    tol, max_iter, on_iteration
        As `Stopping` has them.
    proven : bool
        With "auto": whether to go on until the excess is proven; else until it is estimated.
    near : Solution or None
        Of nearly the same objective, whose preconditioner or model is used.

    Returns
    -------
    Solution
    """
    rule = "gradient" if solver != "auto" else "excess" if proven else "estimate"
    stopping = Stopping(objective, tol, rule, max_iter, on_iteration)
    best = last = None
    for point in start if isinstance(start, list) else [start] if start is not None else []:
        last = objective.evaluate(point, objective.fast_precision)
        best = last if best is None or last.value <= best.value else best
    is_far = best is None or not best.value <= objective.value_at_start()
    start = objective.start() if is_far else best.parameters
    if not objective.is_smooth:
        # What was evaluated last need not be again.
        evaluation = best if best is last and not is_far else None
        return proximal_newton.minimize(objective, start, stopping, model=near and near.model, evaluation=evaluation)
    method = choose_solver(objective, solver)
    if method == "newton-cholesky":
        return newton_cholesky.minimize(objective, start, stopping)
    precondition, refreshes = choose_preconditioner(objective)
    if method == "newton-cg":
        return newton_cg.minimize(objective, start, stopping, precondition=precondition)
    n_sampled = max(MIN_SAMPLE, SAMPLE_ROWS_PER_COLUMN * objective.matrix.shape[1])
    # With fewer rows than parameters the sample is fitted too well: with 5 rows for each of 1,000 classes the start was
    # worse than zeros, and took 25 iterations to mend.
    is_enough = n_sampled >= start.size and objective.n_rows >= SAMPLE_PART * n_sampled
    if is_far and is_enough:
        start = _minimize_sample(objective.sample(n_sampled), start)
    patience = PATIENCE if solver != "lbfgs" and objective.keeps_probabilities else None
    solution = lbfgs.minimize(
        objective, start, stopping, precondition=precondition, refreshes=refreshes,
        precision=objective.fast_precision, patience=patience, preconditioner=near and near.preconditioner,
    )  # fmt: skip
    if solver == "lbfgs" or not objective.keeps_probabilities:
        return solution
    # Without a bound, the gradient by an approximation of the Hessian does not tell how far the minimum is where
    # columns nearly depend on each other: Newton's steps do.
    is_unsure = not objective.is_bounded and solution.message == REACHED
    if solution.message in (IMPATIENT, STALLED):
        solution = newton_cg.minimize(objective, solution.parameters, stopping, precondition=precondition)
    if (is_unsure or solution.message == STALLED) and solution.parameters.size <= MAX_NEWTON_CHOLESKY:
        solution = newton_cholesky.minimize(objective, solution.parameters, stopping)
    return solution


def choose_solver(objective, solver):
    """Return "lbfgs", "newton-cg" or "newton-cholesky" for any name of a solver."""
    n_parameters = objective.shape[0] * objective.shape[1]
    if not objective.keeps_probabilities:
        return "lbfgs"
    if solver == "newton-cholesky":
        return "newton-cholesky" if n_parameters <= MAX_NEWTON_CHOLESKY else "lbfgs"
    if solver in ("lbfgs", "newton-cg"):
        return solver
    work = objective.matrix.count_gram_work() * objective.n_rows_coef**2
    is_tiny = n_parameters <= MAX_HESSIAN and work <= MAX_NEWTON_WORK
    return "newton-cholesky" if is_tiny else "lbfgs"


def choose_preconditioner(objective):
    """Return what builds the best preconditioner that memory allows, and the iterations after which to do it anew."""
    n, (K, size) = objective.n_rows, objective.shape
    if 1 < K and K * size <= MAX_HESSIAN:
        build, n_blocks, block = partial(preconditioners.hessian, sampled=True), 1, K * size
    elif _has_room(objective, K):
        build, n_blocks, block = preconditioners.class_blocks, K, size
    elif _has_room(objective, 1):
        build, n_blocks, block = preconditioners.shared_block, 1, size
    else:
        return preconditioners.diagonal, ()
    work = n_blocks * min(n, preconditioners.ROWS_PER_COLUMN * block) * block**2 // 2
    return build, REFRESHES if work <= CHEAP_WORK else EXPENSIVE_REFRESHES


def _has_room(objective, n_blocks):
    room = max(MIN_ROOM, objective.matrix.nbytes * ROOM_PART)
    return preconditioners.count_bytes(objective, n_blocks) <= room


def _minimize_sample(sample, start):
    """Return a start for the whole data: a few iterations on some of the rows, each a small part of a walk."""
    if not (sample.class_weights > 0).all():
        return start
    stopping = Stopping(sample, SAMPLE_TOL, "excess", SAMPLE_ITERATIONS)
    precondition = preconditioners.shared_block if _has_room(sample, 1) else preconditioners.diagonal
    solution = lbfgs.minimize(sample, start, stopping, precondition=precondition, precision=sample.fast_precision)
    return solution.parameters
