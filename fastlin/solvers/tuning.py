"""Tuning constants of the solvers.

`python -m benchmarks.ablation` disables the optimizations that these constants control. The constants of compiled code
are in fastlin/kernels/linear/quasi_newton.py.
"""

import numpy as np

from fastlin.kernels.linear.quasi_newton import VALUE_TOL
from fastlin.typing import FloatType

# Two computed values are treated as equal if they differ by at most this fraction of the first. The slopes then
# determine which point is better (approximate Wolfe conditions: Hager and Zhang 2005).
VALUE_EPS: dict[FloatType, float] = {np.float32: 1e-6, np.float64: VALUE_TOL}
# An iteration makes no progress if neither the actual nor the predicted decrease exceeds this fraction of J.
PROGRESS_EPS = VALUE_EPS
# Before a factorization, each diagonal entry is increased by this fraction, because rounding can make a matrix
# indefinite.
RIDGE = VALUE_EPS
# The relative accuracy of approximations inside a solver. A relative error of INNER_TOL**2 is negligible.
INNER_TOL = 0.1
# While primal-dual active-set steps may follow, all other steps have the inner accuracy COARSE_INNER_TOL. Active-set
# steps begin once the next steps are expected to decrease J by at most ACTIVE_SET_FACTOR times the suboptimality that
# the default tolerance allows. They end after a step that does not decrease J, or after MAX_FAILED_STEPS consecutive
# steps that had to be shortened (docs/benchmarks/design-choices.md: primal-dual steps).
COARSE_INNER_TOL, ACTIVE_SET_FACTOR, MAX_FAILED_STEPS = 0.3, 10, 5
# A model is not trusted if the actual decrease is below this fraction of the predicted decrease. A failed test is
# repeated once the prediction is below this fraction of the previous prediction.
MIN_DECREASE_RATIO = 0.25
# If convergence is slow, another solver takes over after this number of iterations or of products with a Hessian. The
# blocks of all classes may cost half as many passes. A block shared by all classes may cost a quarter of that.
SWITCH_THRESHOLD = 100

# The default tolerance. If there is no penalty and every row can be classified correctly, J has no minimum. The fit
# then stops once J is below this fraction of the loss at equal class probabilities.
DEFAULT_TOL = 1e-4
# These two constants apply to scikit-learn's solver names. If the gradient has been small in the last
# N_RECENT_ITERATIONS + 1 iterations, the allowed suboptimality is GAP_RELAXATION_FACTOR times as large.
N_RECENT_ITERATIONS, GAP_RELAXATION_FACTOR = 5, 30.0

# The number of sampled rows per parameter of a block. If a fit starts from the solution of a sample, it is the number
# of rows per class and effective direction of the features. A block shared by all classes uses up to four times as many
# rows, and `descent` uses four to sixteen times as many. A Hessian of all pairs of classes requires this number of rows
# per column from each class.
ROWS_PER_COLUMN = 4
# If these rows are too expensive, the block of a class uses the smallest number of rows that contain this fraction of
# the curvature (docs/benchmarks/design-choices.md: curvature fraction).
SAMPLED_CURVATURE_FRACTION = 0.97
# The iterations after which the preconditioner is rebuilt. The second, shorter schedule is used if rebuilding takes
# more than MAX_CHEAP_BUILD_WORK multiply-adds (docs/benchmarks/design-choices.md: expensive preconditioners). The third
# one is used after a start from the solution of a sample, because the first preconditioner is then built near the
# minimum (docs/benchmarks/design-choices.md: refresh after a sample).
REFRESH_ITERATIONS, EXPENSIVE_REFRESH_ITERATIONS, MAX_CHEAP_BUILD_WORK = (4, 12, 36, 108), (10, 40), 200_000_000
SAMPLE_REFRESH_ITERATIONS = 30, 120
# If there are more columns than rows, and the squared means of the columns are at least the fraction MIN_MEAN_RATIO of
# the mean squares, a fit with an L1 penalty and without an intercept starts from a solution with an intercept, of
# tolerance START_TOL or after MAX_START_ITERATIONS iterations (docs/benchmarks/design-choices.md: start with an
# intercept).
MIN_MEAN_RATIO, START_TOL, MAX_START_ITERATIONS = 0.9, INNER_TOL**2, 30
# With at least MIN_ROWS_FOR_SAMPLE rows, a fit starts from the solution of a sample. The sample has MIN_SAMPLED_ROWS
# rows, or as many as one block requires if that is more (docs/benchmarks/design-choices.md: sample at the start). The
# solution takes at most MAX_SAMPLE_ITERATIONS iterations.
MIN_ROWS_FOR_SAMPLE, MIN_SAMPLED_ROWS, MAX_SAMPLE_ITERATIONS = 50_000, 5_000, 20
# If there are fewer columns per row, L-BFGS in the space of the coefficients is as fast and has better preconditioners.
MIN_COLUMNS_PER_ROW = 3

# The cost model. The unit is a multiply-add of a pass, a quarter of a nanosecond on AMD EPYC (znver4). A pass of at
# most MAX_WORK_IN_CACHE runs in the cache of a CPU core. Up to twice that work, a Hessian and its factor cost less than
# the iterations that they save. ITERATION_WORK is the overhead of an iteration. SLOW_OPERATION_WORK is the cost of an
# exponential, and twice the cost of reading an entry of X.
MAX_WORK_IN_CACHE, ITERATION_WORK, SLOW_OPERATION_WORK = 1_500_000, 4_000, 8

# Sweeps continue while each sweep gains at least this fraction of the decrease of the model or, if the full Hessian is
# available, the square of this fraction. The actual gain of a group step may differ from the predicted gain by this
# fraction.
MIN_INNER_TOL = 3e-3
# The number of cheap steps before an expensive step: column-wise models before a Hessian model, and sweeps over the
# active coordinates before a sweep over all coordinates. Class blocks that cost twice as many passes are built later,
# because a fit with few rows may converge before they pay off. An active-set Newton step follows after up to four times
# as many sweeps (docs/benchmarks/design-choices.md: sweeps before a newton step).
N_CHEAP_STEPS = 10
# The overhead of coordinate descent per coordinate. The work for the entries of the column is added to it.
COORDINATE_WORK = 250
# The cost of a Hessian model per entry of the Hessian: the sum over the rows, and the sweeps. If the value is smaller,
# the solver switches to the Hessian too early (docs/benchmarks/design-choices.md: cost of a hessian entry).
HESSIAN_ENTRY_WORK = 200
# The NumPy calls of a group step take as long as this many multiply-adds of compiled sweeps. Including this cost limits
# the number of steps on small tables (docs/benchmarks/design-choices.md: overhead of group steps).
NUMPY_CALL_WORK = 300_000
