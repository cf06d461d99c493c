"""The constants that solvers are tuned by, each with what it was measured to gain.

`python -m benchmarks.sensitivity` halves and doubles each of them over 250 problems, published ones and random ones. In
the first such run (AMD EPYC, znver4) 59 of 112 changed no bit of a fit. Since then each was taken away in turn, over
these problems and over those that its comment names: what could go without a loss is gone, or follows from others. A
comment says what it costs where one could not. What the line search and the descent share with compiled code stands in
fastlin/kernels/linear/quasi_newton.py. How much memory a fit may take is decided in fastlin/budget.py.
"""

import numpy as np

from fastlin.kernels.linear.quasi_newton import VALUE_ROUNDING
from fastlin.typing import FloatType

# Two numbers this close, relative to the first, are equal up to rounding. Of two values the slope alone decides then
# (Hager and Zhang 2005, approximate Wolfe conditions); an iteration that gains no more, and promises no more, makes no
# progress; where no more can be gained a solver has arrived. So much is added to a diagonal before factorising, since
# rounding makes a matrix indefinite by less: where spreads are 1e-5 of the means 1e-11 hides curvature, so that fits
# take 500 iterations instead of 25, and 1e-15 lets rounding in; with 1e-14 312 x 58 whose columns are far from zero, L1
# and no intercept, takes 70 instead of 22.
ROUNDING: dict[FloatType, float] = {np.float32: 1e-6, np.float64: VALUE_ROUNDING}
# What is approximate inside of a solver may miss this part of what it serves: a model by its columns, the active
# coordinates between two sweeps over all, a start that is expressed by the rows, the slope along a line in the row
# space, whose search takes no pass, a step to where a group is zero; and so much of the bound may be left where a
# Hessian is used again. 50 fits along C of sparse 16,000 x 123 to 1e-6 then take 0.56 instead of 0.69 processor
# seconds; with 0.3 small elastic nets take up to 1.3 times as long. Active coordinates that are settled no better take
# 5,000 images of MNIST with L1 a pass more. Of groups that are not tried at zero 375 x 51 with columns that depend on
# each other takes five times as long.
INNER_ACCURACY = 0.1
# After so many iterations, or products with a Hessian, without an end in sight another solver takes over: standardised
# digits at C = 1e4 are at 150 times the minimum after 1,000 iterations of L-BFGS, and at the minimum after 29 steps of
# Newton; random walks of 1,000 steps end after 113 iterations by the coefficients, and by the rows not after 1,000.
# Blocks for each class may cost half as many passes, and one block for all a quarter of that. With 24 10,000 images of
# MNIST have only the one block at C = 1, and take 78 passes instead of 31. A fold of them along 10 C takes 8.8
# processor seconds with one block for all, from all rows; with blocks for each class as soon as few rows hold the
# curvature (C > 1) 5.0, with fewer rows for the one block too 4.2.
PATIENCE = 100

# The part of the slope that may be left after the first step of L-BFGS where no fit nearby went before. With many
# classes the preconditioner alone goes too far at first, and the pair of that step misleads the next ten: of 20,000 x
# 512 with 1,000 classes the first step ends at 1.06, with the search at 0.40. With 0.02 text takes one pass more. With
# 0.1, or with 0.07 here and in the row space, 237 x 193 without penalty takes 83 passes instead of 61.
FIRST_CURVATURE = 0.05

# Stopping. Without a penalty J has no minimum where every row is classified right. It is followed down to this part of
# the loss of equal probabilities.
SEPARABLE_LOSS = 1e-4
# If the predicted bound is below IMPROVEMENT times the last one that was computed in vain, compute the real one. The
# end is in sight of a step of Newton's where its decrement is below the same part.
IMPROVEMENT = 0.3
# A small gradient has to last for so many iterations and the one before.
PERSISTENCE = 5
# With 1,000 classes no entry of the gradient exceeds 1e-4 after 3 iterations, 65 % above the minimum. Five times the
# estimate at once left 50,000 rows of 100 classes 2e-3 above scikit-learn's model. Where the gradient stays small, so
# many times tol are left, but no more than that part of J; and only where J is proven to be no more than so much above
# the minimum: with C = 1e4 it is small far out, where estimates tell nothing (6,000 x 200, 200 classes: 34 % above).
LENIENCE, MOST_LENIENT, NEAR = 30.0, 3e-3, 1 / 3
# Below this part of J without features a finer J changes no prediction. 500 x 1,000, 10 C and five folds, takes 148
# iterations with it and 303 without.
NEGLIGIBLE = 0.01

# Rows of a sample for each parameter of a block: with 6 the eigenvalues of MNIST's blocks are off by a factor of 2,
# which L-BFGS makes up for. One block for all classes, or for a descent, is worth more: with 4 rows a column a descent
# takes 12 to 17 passes where all rows take 7 to 10, with 16 8 to 12 (3,000 and 10,000 x 100, two and four classes,
# columns independent or correlated by 0.9). A descent takes more, up to MOST_ROWS_PER_COLUMN, as long as they cost no
# more than SAMPLE_PASSES: with 16 always 100,000 x 5 takes 26 passes instead of 7, with 64 always 10,000 x 100 takes
# 1.4 times as long, and without an upper end 100,000 x 5 takes 1.7 times as long.
ROWS_PER_COLUMN, SHARED_ROWS_PER_COLUMN, MOST_ROWS_PER_COLUMN, SAMPLE_PASSES = 4, 16, 64, 2
# A first solution comes from as many rows as one block for all classes, and at least so many, where the data have as
# many more as a descent takes at most: MNIST takes 32 passes with it and 42 without. From fewer rows, where a fit has
# fewer than 20,000, columns that depend on each other cost up to 1.4 times as much (16,000 x 200), and 100,000 x 50
# takes 16 passes instead of 13. With few rows for each class and direction of the columns the sample is fitted too
# well: MNIST has 7.6 of them, and 100,000 x 1,024 normal columns with ten classes 1.9, where the sample cost ten passes
# and the fit took as many iterations. Where 4 are asked for 100,000 x 300 with five classes takes 17 passes, not 14.
MIN_SAMPLE, SAMPLE_ROWS_PER_DIRECTION = 5_000, 3
# With more than FEW_CLASSES a pass makes as many multiply-adds a second as the sums of blocks do. Blocks then come from
# half the rows: of 50,000 x 768 with 100 classes they take half as long, and the fit two iterations more. From as many
# rows as with few classes 4,000 x 128 with 300 classes takes 1.4 times as long; from half the rows with few classes,
# too, 5,316 x 91 with two 1.2 times.
FEW_CLASSES = 32
# The part of the curvature that is worth the rows it takes: at large C few rows hold nearly all.
HELD = 0.97
# Classes that a pass has products for while it reads X.
READ_CLASSES = 8

# The cube of the columns of a descent, six times the multiply-adds of a factor of one of its blocks.
MOST_FACTOR_WORK = 16_000_000
# The preconditioner is built anew after so many iterations, and less often where that takes more than CHEAP_WORK
# multiply-adds. Blocks for each class then come late: at the start, where all rows matter alike, they are worth no more
# than one block for all. 10,000 images of MNIST take 31 passes and 0.49 s, with blocks from the start 82 and 0.94. With
# C = 100 they take 78 passes, without the last turn 130. Blocks that take no longer than n < 15 passes come after n
# iterations: 50,000 x 768 with 100 classes takes 26 iterations, with one block for all classes 72. What is built at the
# solution of a sample lasts twice as long: MNIST at tol 1e-6 takes 2.3 s, built anew after 15 iterations 4.6. One rule
# by the passes that a matrix takes would do without two of these, but at its best MNIST with C = 100 takes 115 to 125
# passes by it instead of 73 to 79, and fits with 100 to 1,000 classes twice as many.
REFRESHES, EXPENSIVE_REFRESHES, CHEAP_WORK = (4, 12, 36, 108), (15, 60), 200_000_000
# With few rows a block takes as long as many passes, and L-BFGS may arrive before it pays. Where it takes so many, it
# waits until as many iterations are made, which costs at most twice the better of both: 1,000 x 784, two classes, takes
# 63 ms instead of 80, 2,000 x 1,024 with ten 103 instead of 251, 2,000 x 784 of MNIST 246 instead of 393. A descent
# that does not start from zeros begins with a matrix of its start, where that takes fewer: what the matrix of equal
# rows says of the distance from the minimum is far too little there. With 12, or 4, most fits that are concerned take
# half as long, and 205 x 363 with heavy tails 1.3 times.
MIN_PASSES_TO_WAIT = 20
# With fewer columns a row the coefficients are as fast as the row space, and have better preconditioners. Noise around
# 30 factors with two classes and C = 1 takes 0.17 s for 500 x 1,500, by the coefficients 0.35, but 2.0 and 1.9 s for
# 1,500 x 3,000. Normal columns with three classes, 5,000 x 10,000, take 4.0 and 3.0 s. Text of 11,314 rows at C = 100
# takes 0.97 and 1.5 s with 20,000 columns, 1.9 and 1.4 s with 11,000.
MIN_COLUMNS_A_ROW = 3
# Where offsets, or coefficients that may not be zero, leave a J above FAR_OUT at the start, nearly all rows are decided
# there, and no curvature says how long a step may be. A fit then begins at the minimum, to ROUGH, of what
# `Objective.flatten` makes of the part FLATTENED of the scores. 55 x 24 with 12 classes, whose bounds lead to scores of
# 4,000, takes 46 passes, and without it 8,456. Parts of 0.1, to 1e-2, leave more to the end: 80 x 60 with 12 classes,
# bounds and offsets of 1,000 takes up to 12 s, and 2 with these. Parts of 0.4 take fits that have no bounds 1.4 times
# the passes. Beyond TOO_FAR that would be many fits.
FAR_OUT, TOO_FAR, FLATTENED, ROUGH = 10.0, 1e9, 0.2, 1e-4

# Entries of X times parameters up to which the descent runs in a core's cache, and the multiply-adds of a Hessian and
# its factor up to which Newton's steps are the fastest where something is not penalised: 1,000 x 20 with C = inf takes
# 1.4 ms, by L-BFGS 2.1; 10,000 x 20 takes 4.2 and 3.7, 100,000 x 10 16.8 and 13.9.
MOST_WORK_IN_CACHE = 1_500_000
# With so few entries of X times parameters an iteration takes a hundredth of the fit, and tol is undercut: users
# compare coefficients, and these gain two digits.
FREE_WORK, CLOSER = 50_000, 0.01
# What a descent takes, in multiply-adds of a pass or a factor (a quarter of a nanosecond on AMD EPYC, znver4): how many
# of a Gram matrix one of them is worth, the exponential of a row, an iteration in a core's cache, and what a new matrix
# takes beside its sums elsewhere. With as many for a Gram matrix as for a pass digits take 67 passes instead of 40;
# without what an iteration takes the smallest fits take up to 1.4 times the passes.
GRAM_RATE, ROW_WORK, ITERATION_WORK, MATRIX_WORK = 1.5, 8, 4_000, 400_000

# Penalties by size and bounds. Where a model misleads, some of the curvature of equal probabilities is mixed in: at
# first the part MIXED, times J where that is below one, then FACTOR times as much until a step counts, and as much less
# after each step, down to the part LEAST_MIXED of the first. Probabilities of nearly 0 and 1 have no curvature, but the
# way to the minimum has: 4,000 posts of text with L1, C = 100, ended at 2.8 times it, and 8 x 18 with eight classes and
# offsets at 2,000 times. A model within bounds whose step gains less than the part TRUSTED of what its slope promises
# misleads: more is mixed in then. Without that 36 x 53 with twelve classes, L1 and bounds takes 20 s, and with it 4.
MIXED, FACTOR, LEAST_MIXED, TRUSTED = 1e-3, 100.0, 1e-4, 0.25
# The part of a model's decrease that a sweep must gain to go on: less the closer the end is. By the gain alone, or its
# root, 5,000 images of MNIST with L1 take 1.3 times as long.
MIN_ACCURACY = 3e-3
# Rounds of what is cheap before what is dear. After ten models by columns the Hessian takes their place: where columns
# nearly depend on each other sweeps gain little, and end far from where the model is least. 3,000 x 100 with ten
# classes and noise around ten factors, L1, C = 10, takes 1.5 s, by columns 83. Few other fits take more models: 800 x
# 100 with 20 classes takes 13. Ten visits of the coordinates that are not zero come between two of all. Ten rounds are
# enough, each of a sweep over all, of sweeps over the active ones and of Newton's steps among these, which take no
# longer than the sweeps may. With twice as many rounds 4,019 x 12, five classes, by groups, takes twice as long to the
# same bits.
ROUNDS = 10
# A slope at zero above this part of the threshold makes a coordinate part of the working set.
NEAR_THRESHOLD = 0.8
# With the whole Hessian at hand it is worth to solve the model well: breast cancer's 30 columns, scaled, at C = 100,
# take 14 steps instead of 105. To 1e-8 always 312 x 58 whose columns are far from zero takes 51 steps instead of 22.
HESSIAN_ACCURACY = 1e-5
# Steps for groups end where one is whole and gains what it promised, up to SURPRISE: with 1e-5 some fits took four
# times as long, with 0.1 4,019 x 12 2.7 times.
SURPRISE = 1e-3
