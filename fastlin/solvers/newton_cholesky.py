"""Newton's method with the whole Hessian and its Cholesky factor, for few classes times features."""

from fastlin.solvers import newton
from fastlin.solvers.preconditioners import hessian


def minimize(objective, parameters, stopping):
    """Minimise the objective from the given parameters; arguments, result and errors are those of newton.minimize.

    The directions along which softmax is flat get a curvature of their own, and a pivot that vanishes one of its
    column's (preconditioners.hessian, kernels/cholesky.py): the step is Newton's where the Hessian is regular, and
    descends in any case.
    """

    def find_direction(evaluation, bound):
        return -hessian(objective).solve(evaluation.gradient)

    return newton.minimize(objective, parameters, stopping, find_direction)
