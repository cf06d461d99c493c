"""Which models proximal Newton makes: by columns or by the Hessian, of mixed probabilities."""

import numpy as np
import pytest
from conftest import make_objective, minimum_of

from fastlin.objective import Objective
from fastlin.solvers import proximal_newton
from fastlin.solvers.quadratic import ColumnModel, HessianModel
from fastlin.solvers.stopping import Stopping

# Fits whose columns nearly depend on each other take seconds.
pytestmark = pytest.mark.thorough


def test_where_probabilities_of_0_and_1_mislead_a_model_they_are_mixed(monkeypatch):
    objective, parameters = make_objective(60, 200, 4, l1=1e-3)
    far = objective.center(30 * parameters)
    parts, make_model = [], proximal_newton.make_model

    def solve():
        stopping = Stopping(objective, 1e-6, "excess", 300)
        return proximal_newton.minimize(objective, far, stopping, room=objective.make_room())

    def make_and_tell(point, by_hessian, borrowed, mixed):
        parts.append(mixed)
        return make_model(point, by_hessian, borrowed, mixed)

    monkeypatch.setattr(proximal_newton, "make_model", make_and_tell)
    solution = solve()
    assert solution.converged
    assert max(parts) > 0
    minimum, *_ = minimum_of(objective)
    assert solution.value - minimum <= 1e-6 * solution.value
    # Without that it stalls there.
    monkeypatch.setattr(
        proximal_newton, "make_model", lambda point, by_hessian, borrowed, mixed: make_model(point, False, borrowed)
    )
    assert not solve().converged


@pytest.mark.parametrize("group_by_class", [False, True])
def test_the_hessian_takes_over_where_columns_nearly_depend_on_each_other(group_by_class, monkeypatch):
    # Without an intercept what columns far from zero share cannot be taken away. By columns J is at 1.9 after 100
    # iterations, and the minimum at 0.22.
    generator = np.random.default_rng(1)
    X = generator.normal(size=(120, 45))
    labels = (X @ generator.normal(size=(45, 15)) + generator.gumbel(size=(120, 15))).argmax(axis=1)
    X += 1000 * generator.normal(size=45)
    objective = Objective.over(X, labels, 15, l1=1e-3, group_by_class=group_by_class, fit_intercept=False)
    kinds, make_model = [], proximal_newton.make_model

    def make_and_tell(*arguments):
        kinds.append(type(make_model(*arguments)))
        return make_model(*arguments)

    monkeypatch.setattr(proximal_newton, "make_model", make_and_tell)
    stopping = Stopping(objective, 1e-8, "excess", 60)
    solution = proximal_newton.minimize(objective, objective.start(), stopping, room=objective.make_room())
    assert solution.converged
    assert kinds[: proximal_newton.ROUNDS] == [ColumnModel] * proximal_newton.ROUNDS
    assert set(kinds[proximal_newton.ROUNDS :]) == {HessianModel}
    # A fit nearby begins with such a Hessian.
    room, again = objective.make_room(), Stopping(objective, 1e-8, "excess", 60)
    model = make_model(objective.at(solution.parameters, out=room), True)
    kinds.clear()
    assert proximal_newton.minimize(objective, objective.start(), again, room=room, model=model).converged
    assert set(kinds) == {HessianModel}
    # Where there is no room for it, columns go on.
    kinds.clear()
    monkeypatch.setattr("fastlin.budget.LARGEST_HESSIAN", 600)
    limited = Stopping(objective, 1e-8, "excess", 15)
    proximal_newton.minimize(objective, objective.start(), limited, room=objective.make_room())
    assert set(kinds) == {ColumnModel}
