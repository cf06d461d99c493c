"""The numbers that solvers are tuned by; other numbers follow from these.

`python -m benchmarks.ablation` switches off the paths that they steer. Numbers that are shared with compiled code stand in
fastlin/kernels/linear/quasi_newton.py.
"""

import numpy as np

from fastlin.kernels.linear.quasi_newton import VALUE_ROUNDING
from fastlin.typing import FloatType

# Two numbers this close, relative to the first, are equal up to rounding. Of two values the slope alone decides then
# (Hager and Zhang 2005, approximate Wolfe conditions); an iteration that gains no more, and promises no more, makes no
# progress; where no more can be gained a solver has arrived. So much is added to a diagonal before factorizing, since
# rounding makes a matrix indefinite by less.
ROUNDING: dict[FloatType, float] = {np.float32: 1e-6, np.float64: VALUE_ROUNDING}
# An approximation inside of a solver may miss this part of the exact result; a negligible error is its square.
INNER_ACCURACY = 0.1
# A prediction is worth a trial where it is below this part of what was tried in vain, and a model misleads whose step
# gains less than this part of what its slope promises.
TRUSTED = 0.25
# Iterations, or products with a Hessian, without an end in sight after which another solver takes over. Blocks for each
# class may cost half as many passes, and one block for all a quarter of that.
SWITCH_AFTER = 100

# What tol is where nothing is said. Without a penalty J has no minimum where every row is classified right: it is
# followed down to this part of the loss of equal probabilities.
USUAL_TOL = 1e-4
# By the rule of scikit-learn's solvers a gradient has to stay small for PERSISTENCE iterations and the one before; then
# LENIENCE times the usual distance may be left.
PERSISTENCE, LENIENCE = 5, 30.0

# Rows of a sample for each parameter of a block, and for each class and direction of the columns where a fit begins at
# the sample's solution. One block for all classes, or for a descent, is worth four times as many; a descent takes up to
# sixteen times as many where they cost little.
ROWS_PER_COLUMN = 4
# Where these are too many, blocks for each class come from the rows that hold this part of its curvature: ten C and
# five folds of 10,000 images of MNIST take 8.2 s so, with 0.9 9.5 and with 0.99 8.4.
HELD = 0.97
# The iterations after which the preconditioner is built again, fewer of them if that takes more than CHEAP_WORK
# multiply-adds.
REFRESHES, EXPENSIVE_REFRESHES, CHEAP_WORK = (4, 12, 36, 108), (15, 60), 200_000_000
# From FEW_ROWS on a fit begins at the solution of a sample: a tenth of the rows, or as many as one block takes.
FEW_ROWS = 50_000
# With fewer columns a row the coefficients are as fast as the row space, and have better preconditioners.
MIN_COLUMNS_A_ROW = 3

# The cost model, in multiply-adds of a pass (a quarter of a nanosecond on AMD EPYC, znver4): up to how many a pass runs
# in a core's cache, and up to twice how many a Hessian with its factor takes less than iterations; what an iteration
# takes besides; what an exponential takes, and half of what it takes to read a number of X.
MAX_WORK_IN_CACHE, ITERATION_WORK, SLOW_WORK = 1_500_000, 4_000, 8

# The part of a model's decrease that a sweep must gain to go on, at the least; its square where the whole Hessian is at
# hand. What a step for groups gains may differ by as much from what it promised.
MIN_ACCURACY = 3e-3
# Cheap rounds before dear ones: models by columns before the Hessian, and sweeps over the active coordinates before
# one over all. Blocks of classes that take twice as many passes wait for these: with few rows a fit may arrive before
# they pay. Before a Newton step among the active coordinates there are up to four times as many sweeps: with ROUNDS of
# them L1 and grouped fits of 300 to 5,000 rows took 1.15 times as long.
ROUNDS = 10
# What a descent takes to visit a coordinate of a column of X, besides its entries.
VISIT_WORK = 250
# What a model by the Hessian takes for each of its entries: the sum over the rows, and sweeps. Some take 120; with 150
# the Hessian came too soon for 2,351 x 673 with three classes and C = 1e5: 3.0 s, and 0.8 s with 200.
HESSIAN_WORK = 200
# The calls of NumPy in a step over groups take as long as so many multiply-adds of compiled sweeps. Without them a path
# over 17 rows whose weights span 250 powers of ten took 105 s, and 2.5 s with them.
CALLS_WORK = 300_000
