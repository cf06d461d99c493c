"""The constants that solvers are tuned by, each with what it was measured to gain.

`python -m benchmarks.sensitivity` halves and doubles each of them over 250 problems, published ones and random ones. In
the first such run (AMD EPYC, znver4) 59 of 112 changed no bit of a fit: what could go without a loss is gone, or
follows from others. Twice is not all: with the values of others in their place some of those that were left made
single fits two to four times as long. How much memory a fit may take is decided in fastlin/budget.py.
"""

import numpy as np

from fastlin.objective.rounding import UNIT_ROUNDOFF
from fastlin.typing import FloatType

# Line searches: the usual constants for quasi-Newton directions (Nocedal and Wright 2006, section 3.1). Where a step is
# worth a sharper search, so little of the slope may be left: at the first step of L-BFGS where no fit nearby went
# before, and in the row space, where a search takes no pass. With many classes the preconditioner alone goes too far at
# first, and what that teaches misleads the next ten steps: of 20,000 x 512 with 1,000 classes the first step ends at
# 1.06, with the search at 0.40. With 0.02 text takes one pass more.
SUFFICIENT_DECREASE, CURVATURE, FIRST_CURVATURE, ROW_CURVATURE = 1e-4, 0.9, 0.05, 0.1
# Two values this close, relative to the first, are equal up to rounding: then the slope alone decides (Hager and Zhang
# 2005, approximate Wolfe conditions).
ROUNDING: dict[FloatType, float] = {np.float32: 1e-7, np.float64: 1e-14}
# Trials of a search, halvings of a step, and iterations that gain next to nothing, before a solver gives up.
MAX_TRIALS = 30
# After so many iterations, or products with a Hessian, without an end in sight another solver takes over: standardised
# digits at C = 1e4 are at 150 times the minimum after 1,000 iterations of L-BFGS, and at the minimum after 29 steps of
# Newton; random walks of 1,000 steps end after 113 iterations by the coefficients, and by the rows not after 1,000.
PATIENCE = 100

# Stopping. Without a penalty J has no minimum where every row is classified right. It is followed down to this part of
# the loss of equal probabilities.
SEPARABLE_LOSS = 1e-4
# A foreseen bound is tried out where it is below this part of what is asked for, the present bound is within so many
# times of that, and the foreseen one is so far below the last one that was tried in vain. What loosely tells whether
# the end is in sight of a step of Newton's is the same part.
FORESIGHT, TRIED, IMPROVEMENT = 0.9, 1e4, 0.3
# A bound that exceeds ||dJ/dW||^2 / (2 l2) so many times near the end is due to the intercept, and worth a pass: some
# of Newton's steps of the intercept. With 300 classes one took the bound from 18 times what was asked for to within it.
INTERCEPT_EXCESS, SETTLINGS = 5.0, 3
# An estimate has to hold after so many iterations and the one before. Its pace is taken over these numbers of them.
PERSISTENCE, SHORTEST_PACE, LONGEST_PACE = 5, 3, 15
# With 1,000 classes no entry of the gradient exceeds 1e-4 after 3 iterations, 65 % above the minimum. Five times the
# estimate at once left 50,000 rows of 100 classes 2e-3 above scikit-learn's model. Where the gradient stays small, so
# many times tol are left, but no more than that part of J; and only where J is proven to be no more than so much above
# the minimum: with C = 1e4 it is small far out, where estimates tell nothing (6,000 x 200, 200 classes: 34 % above).
LENIENCE, MOST_LENIENT, NEAR = 30.0, 3e-3, 1 / 3
# Below this part of J without features a finer J changes no prediction.
NEGLIGIBLE = 0.01
# A solver that can still gain no more than this part of J has arrived, whatever tol asks for. Nor is a gain worth a
# warning that is SMALL_PART of tol, where J cannot be computed any better. A gap is taken for no smaller than that part
# of J, whose last digits are rounding.
FLOOR, SMALL_PART, SMALLEST_GAP = 1e-13, 1e-3, 16 * UNIT_ROUNDOFF

# Factors. What is added to a diagonal, relative to it, before factorising: rounding makes a matrix indefinite by less,
# and softmax is flat along some directions. Where spreads are 1e-5 of the means 1e-11 hides curvature, so that fits
# take 500 iterations instead of 25; 1e-15 lets rounding in.
RIDGE: dict[FloatType, float] = {np.float32: 1e-6, np.float64: 1e-13}
# Rows of a sample for each parameter of a block: with 6 the eigenvalues of MNIST's blocks are off by a factor of 2,
# which L-BFGS makes up for. One block for all classes, or for a descent, is worth more: with 4 rows a column a descent
# takes 12 to 17 passes where all rows take 7 to 10, with 16 8 to 12 (3,000 and 10,000 x 100, two and four classes,
# columns independent or correlated by 0.9).
ROWS_PER_COLUMN, SHARED_ROWS_PER_COLUMN = 4, 16
# With more than FEW_CLASSES a pass makes as many multiply-adds a second as the sums of blocks do. Blocks then come from
# half the rows: of 50,000 x 768 with 100 classes they take half as long, and the fit two iterations more.
FEW_CLASSES = 32
# The part of the curvature that is worth the rows it takes: at large C few rows hold nearly all.
HELD = 0.97
# What blocks for each class may cost, in passes over the rows, and one block for all a quarter of it. A fold of 10,000
# images of MNIST along 10 C takes 8.8 processor seconds with one block for all, from all rows; with blocks for each
# class as soon as few rows hold the curvature (C > 1) 5.0, with fewer rows for the one block too 4.2. Blocks may cost
# 48: with 24 10,000 images have only the one block at C = 1, and take 78 passes instead of 31.
MAX_PASSES = 48
# Classes that a pass has products for while it reads X.
READ_CLASSES = 8
# Bytes of whole matrices that are held at a time; their factors take half as much.
MATRIX_BYTES = 3 << 20

# The choice of a solver. Newton's steps are the fastest where the whole Hessian and its factor take no more
# multiply-adds: 10,000 x 30, two classes, takes 6.4 ms, by L-BFGS 8.6; 5,000 x 10, 5 classes, 9.3 and 14. 60 x 160, 3
# classes, has 127 million and takes 64 and 31. Sparse 16,000 x 123 with 14 entries a row has 14 million and takes as
# long by either.
MAX_NEWTON_WORK = 16_000_000
# The preconditioner is built anew after so many iterations, and less often where that takes more than CHEAP_WORK
# multiply-adds. Blocks for each class then come late: at the start, where all rows matter alike, they are worth no more
# than one block for all. 10,000 images of MNIST take 31 passes and 0.49 s, with blocks from the start 82 and 0.94. With
# C = 100 they take 78 passes, without the last turn 130. Blocks that take no longer than n < 15 passes come after n
# iterations: 50,000 x 768 with 100 classes takes 26 iterations, with one block for all classes 72. What is built at the
# solution of a sample lasts twice as long: MNIST at tol 1e-6 takes 2.3 s, built anew after 15 iterations 4.6.
REFRESHES, EXPENSIVE_REFRESHES, CHEAP_WORK = (4, 12, 36, 108), (15, 60), 200_000_000
# With few rows a block takes as long as many passes, and L-BFGS may arrive before it pays. Where it takes so many, it
# waits until as many iterations are made, which costs at most twice the better of both: 1,000 x 784, two classes, takes
# 63 ms instead of 80, 2,000 x 1,024 with ten 103 instead of 251, 2,000 x 784 of MNIST 246 instead of 393. A descent
# that does not start from zeros begins with a matrix of its start, where that takes fewer: what the matrix of equal
# rows says of the distance from the minimum is far too little there.
MIN_PASSES_TO_WAIT = 20
# A first solution comes from a sample of so many rows a column, where the data have MIN_ROWS_PER_SAMPLED times more:
# iterations to SAMPLE_TOL. MNIST takes 32 passes with it and 42 without. With few rows for each class and direction of
# the columns the sample is fitted too well: MNIST has 5.7 of them, and 100,000 x 1,024 normal columns with ten classes
# 1.4, where the sample cost ten passes and the fit went on for as many iterations as without it.
SAMPLE_ROWS_PER_COLUMN, SAMPLE_ROWS_PER_DIRECTION, MIN_SAMPLE, MIN_ROWS_PER_SAMPLED = 12, 3, 5_000, 4
SAMPLE_ITERATIONS, SAMPLE_TOL = 25, 1e-3
# With fewer columns a row the coefficients are as fast as the row space, and have better preconditioners. Noise around
# 30 factors with two classes and C = 1 takes 0.17 s for 500 x 1,500, by the coefficients 0.35, but 2.0 and 1.9 s for
# 1,500 x 3,000. Normal columns with three classes, 5,000 x 10,000, take 4.0 and 3.0 s. Text of 11,314 rows at C = 100
# takes 0.97 and 1.5 s with 20,000 columns, 1.9 and 1.4 s with 11,000. With fewer pairs than FEWEST_PAIRS the steps are
# hardly better than gradients. LOST is the part of tol that a start may lose of J when it is expressed by the rows.
MIN_COLUMNS_A_ROW, FEWEST_PAIRS, LOST = 3, 8, 0.1

# The descent over few parameters, for so many of them and of columns, and rows times parameters: beyond these a pass
# takes far longer than what an iteration of Python adds to it. With more parameters than that and rows, the Hessian of
# all rows alike tells too little. Beyond MOST_WORK_IN_CACHE a small X is read on all threads all the same.
FEW_PARAMETERS, MOST_COLUMNS, MOST_WORK, MOST_WORK_IN_CACHE = 1100, 256, 40_000_000, 1_500_000
# Entries of X times parameters that the passes of a call may read: Ctrl-C waits for its end.
WORK_AT_ONCE = 16_000_000
# With so few entries of X times parameters an iteration takes a hundredth of the fit, and a tol that is loose is
# undercut: users compare coefficients, and these gain two digits.
FREE_WORK, CLOSER, LOOSE = 50_000, 0.01, 1e-6
# More rows of a sample than SHARED_ROWS_PER_COLUMN are taken, up to MOST_ROWS_PER_COLUMN, as long as they cost no more
# than so many passes.
MOST_ROWS_PER_COLUMN, SAMPLE_PASSES = 64, 2
# Multiply-adds a nanosecond of a pass or a factor, and of a Gram matrix; and the nanoseconds of a row's exponential, of
# an iteration in a core's cache, and of what new blocks or a Hessian take beside their sums elsewhere (AMD EPYC,
# znver4).
PASS_RATE, GRAM_RATE, ROW_TIME, ITERATION_TIME = 4.0, 6.0, 2.0, 1_000.0
MATRIX_TIME, HESSIAN_TIME = 100_000.0, 700_000.0

# The relative decrease of an iteration of L-BFGS that may be rounding rather than progress, by what J is computed in.
# In float32 it is progress where the gradient promises more than this part of J: gradients are better than values,
# which are off by 5e-9 of J (MNIST, Letter). Decided rows are looked for anew after so many iterations.
SMALLEST_DECREASE: dict[FloatType, float] = {np.float32: 3e-8, np.float64: 2 * UNIT_ROUNDOFF}
SMALLEST_DECREMENT: dict[FloatType, float] = {np.float32: 1e-9, np.float64: np.inf}
LINEARISED_FOR = 25
# Conjugate gradients. Where the decrement alone has to stand in for a bound, it must not miss what a loose solution
# leaves out.
TIGHT_FORCING = 0.01
# In sight of the end a step goes on until its residual costs the bound no more than this part of what is asked for. The
# end is in sight where the step lowers J by no more than a part of the root of that, as a share of J: Newton's next
# step then lowers J by about its square. Of 18 fits, with 2 to 10 classes and tol from 1e-4 to 1e-8, the passes fall by
# 8 % in the geometric mean: 104 become 72 in the best case, 64 become 100 in the worst.
RESIDUAL_SHARE = 0.25

# Penalties by size. Where a model by columns misleads, its probabilities are mixed with equal ones, at first by this
# part and then by ten times as much each time; a step that counts takes a tenth back. Probabilities of nearly 0 and 1
# have no curvature, but the way to the minimum has: 4,000 posts of text with L1, C = 100, ended at 2.8 times it.
FIRST_MIXED, MIXED_MORE = 1e-3, 10.0
# The part of a model's decrease that a sweep must gain to go on: less the closer the end is.
MIN_ACCURACY, MAX_ACCURACY = 3e-3, 0.1
# After a step that gained less of J than this only an exact one still lowers the bound; after more than MAX_IDLE that
# gained nothing a fit gives up.
TINY_GAIN, TIGHT_ACCURACY, MAX_IDLE = 1e-9, 1e-8, 2
# So many models by columns, and the Hessian takes their place: where columns nearly depend on each other sweeps gain
# little, and come to their end far from where the model is least. 3,000 x 100 with ten classes and noise around ten
# factors, L1, C = 10, takes 1.5 s, by columns 83. Of other fits few take more: 800 x 100 with 20 classes 13.
MODELS_BY_COLUMNS = 10
# A Hessian is used again where the bound has fallen below this part of the last one: 50 fits along C of sparse 16,000 x
# 123 to 1e-6 then take 0.56 instead of 0.69 processor seconds.
REUSED = 0.1
# A slope at zero above this part of the threshold makes a coordinate part of the working set.
NEAR_THRESHOLD = 0.8
# Visits of the coordinates that are not zero, between two of all, and visits in all. The active coordinates are settled
# among themselves once a sweep gains less than SETTLED_GAIN of the accuracy.
ACTIVE_SWEEPS, MAX_SWEEPS, SETTLED_GAIN = 10, 200, 0.1
# With the whole Hessian at hand it is worth to solve the model well: breast cancer's 30 columns, scaled, at C = 100,
# take 14 steps instead of 105. Ten rounds of sweeps over all, of sweeps over the active ones and of Newton's steps are
# enough: with twice as many 4,019 x 12, five classes, by groups, takes twice as long to the same bits.
HESSIAN_ACCURACY, MAX_HESSIAN_SWEEPS = 1e-5, 10 * (1 + ACTIVE_SWEEPS)
# Newton's steps among active parameters that follow one another: three for each of these, since signs turn back as
# well, or fewer where all take longer than some hundred sweeps. For signs a step is as long as a few sweeps, for groups
# as a hundred.
STEPS_PER_ACTIVE, MAX_SOLVED_SIGNS, MAX_SOLVED_GROUPS = 3, 100_000, 5_000
# Steps for groups end where one is whole and gains what it promised, up to SURPRISE: with 1e-5 some fits took four
# times as long. A group is tried at zero where a step has left no more than NEAR_ZERO of it.
SURPRISE, NEAR_ZERO = 1e-3, 0.1
# A length along a step is found to this part of it. Where the model is flat but for the norms, a step may be 1e9 times
# too long: with 30 bisections 375 x 51 with columns that depend on each other took 5,000 iterations, with 60 nine.
LENGTH_ACCURACY, N_BISECTIONS = 1e-9, 60
