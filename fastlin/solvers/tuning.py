"""Tuning constants of the solvers.

`python -m benchmarks.ablation` disables the optimizations that they control. Constants shared with compiled code are in
fastlin/kernels/linear/quasi_newton.py.
"""

import numpy as np

from fastlin.kernels.linear.quasi_newton import VALUE_ROUNDING
from fastlin.typing import FloatType

# Two computed values that differ by at most this fraction of the first count as equal. The slopes then decide which
# point is better (approximate Wolfe conditions: Hager and Zhang 2005).
VALUE_EPS: dict[FloatType, float] = {np.float32: 1e-6, np.float64: VALUE_ROUNDING}
# An iteration makes no progress if it neither gains nor predicts more than this fraction of J.
PROGRESS_EPS = VALUE_EPS
# This fraction of each diagonal entry is added before a factorization: rounding can make a matrix indefinite by less.
RIDGE = VALUE_EPS
# Relative accuracy of approximations inside a solver. An error of its square is negligible.
INNER_TOL = 0.1
# A model is not trusted if the actual decrease is below this fraction of the predicted one. A prediction is tried again
# once it is below this fraction of the last one that failed.
TRUST_RATIO = 0.25
# Iterations, or products with a Hessian, after which another solver takes over if the end is not in sight. One block
# per class may cost half as many passes, a block shared by all classes a quarter of that.
SWITCH_AFTER = 100

# The default tolerance. Without a penalty J has no minimum if every row can be classified correctly; the fit then ends
# once J is below this fraction of the loss of equal class probabilities.
DEFAULT_TOL = 1e-4
# For the names of scikit-learn's solvers: if the gradient has been small in the last N_RECENT iterations and the one
# before them, the allowed suboptimality is RELAXATION times as large.
N_RECENT, RELAXATION = 5, 30.0

# Sampled rows per parameter of a block, and per class and effective direction of the features if a fit starts from the
# solution of a sample. A block shared by all classes uses four times as many, and so does `descent`, which uses up to
# sixteen times as many if they are cheap.
ROWS_PER_COLUMN = 4
# If that is too expensive, the block of a class is built from the fewest rows that contain this fraction of its
# curvature (docs/benchmarks/design-choices.md: curvature fraction).
CURVATURE_FRACTION = 0.97
# Iterations after which the preconditioner is rebuilt: the second, shorter schedule applies if that takes more than
# MAX_CHEAP_WORK multiply-adds.
REFRESHES, EXPENSIVE_REFRESHES, MAX_CHEAP_WORK = (4, 12, 36, 108), (15, 60), 200_000_000
# With at least this many rows, a fit starts from the solution of a sample: a tenth of the rows, or as many as one block
# needs if these are more.
MIN_ROWS_FOR_SAMPLE = 50_000
# With fewer columns per row, L-BFGS in the coefficients is as fast as in the row space and has better preconditioners.
MIN_COLUMNS_PER_ROW = 3

# The cost model, in multiply-adds of a pass (a quarter of a nanosecond each on AMD EPYC, znver4). A pass of at most
# MAX_WORK_IN_CACHE runs in a core's cache; a Hessian with its factor is cheaper than the iterations it saves up to
# twice as much. ITERATION_WORK is the overhead of an iteration. SLOW_OPERATION_WORK is the cost of an exponential, and
# twice the cost of reading an entry of X.
MAX_WORK_IN_CACHE, ITERATION_WORK, SLOW_OPERATION_WORK = 1_500_000, 4_000, 8

# Sweeps continue while each gains at least this fraction of the decrease of the model, or its square if the whole
# Hessian is available. The gain of a step for groups may differ by this fraction from the predicted one.
MIN_INNER_TOL = 3e-3
# Cheap steps before an expensive one: models by columns before one by the Hessian, and sweeps over the active
# coordinates before one over all. Blocks of classes that take twice as many passes wait for these, because a fit with
# few rows may end before they pay off. An active-set Newton step comes after up to four times as many sweeps
# (docs/benchmarks/design-choices.md: sweeps before a newton step).
ROUNDS = 10
# The overhead of coordinate descent per coordinate and column, in addition to the entries of the column.
VISIT_WORK = 250
# The cost of a model by the Hessian per entry of the Hessian: the sum over the rows, and sweeps. A smaller value
# switches to the Hessian too early (docs/benchmarks/design-choices.md: cost of a hessian entry).
HESSIAN_WORK = 200
# The NumPy calls of a step for groups take as long as this many multiply-adds of compiled sweeps. Counting them limits
# the steps on small tables (docs/benchmarks/design-choices.md: overhead of group steps).
NUMPY_CALL_WORK = 300_000
