"""The choice of the L-BFGS preconditioner, and when it is rebuilt."""

import numpy as np
import pytest
from objectives import build_objective, make_objective, replace_budget
from scipy import sparse

from fastlin.solvers import choose, descent, preconditioners, row_space_lbfgs, starting_points
from fastlin.solvers.solution import MAX_ITER_REACHED


@pytest.fixture
def fit(monkeypatch):
    """Return a function that returns a solution and the names of the preconditioners that were built for it."""
    built_preconditioners = []
    for name in ("diagonal", "build_shared_block", "build_class_blocks"):
        build = getattr(preconditioners, name)
        monkeypatch.setattr(
            preconditioners,
            name,
            lambda point, name=name, build=build: built_preconditioners.append(name) or build(point),
        )

    def minimize(objective, solver, starts=(), tol=1e-10, max_iter=1000, **options):
        built_preconditioners.clear()
        solution = choose.minimize(objective, starts, solver=solver, tol=tol, max_iter=max_iter, **options)
        return solution, [*built_preconditioners]

    return minimize


def test_the_budget_decides_which_preconditioner_is_built():
    for n_classes in (2, 4):
        small, _ = make_objective(50, 6, n_classes, l2=0.1)
        assert preconditioners.choose(small) is preconditioners.build_class_blocks
    wide, _ = make_objective(10, 1500, 3, l2=0.1)
    assert preconditioners.choose(replace_budget(wide, 1 << 40)) is preconditioners.build_class_blocks
    assert preconditioners.choose(replace_budget(wide, 0)) is preconditioners.build_shared_block
    wider_objective, _ = make_objective(10, 2010, 3, l2=0.1)
    assert preconditioners.schedule_builders(replace_budget(wider_objective, 0)) == {0: preconditioners.diagonal}


def test_expensive_blocks_are_built_after_many_iterations(fit, monkeypatch):
    generator = np.random.default_rng(0)
    monkeypatch.setattr(row_space_lbfgs, "is_suitable", lambda objective: False)
    X = generator.normal(size=(300, 600)) / np.arange(1, 601)
    labels = (X @ generator.normal(size=600) + generator.normal(size=300) > 0).astype(int)
    few = build_objective(X, labels, 2, l2=1e-6)
    n_passes = preconditioners.count_build_passes(few, preconditioners.build_class_blocks)
    assert n_passes >= 2 * preconditioners.N_CHEAP_STEPS
    monkeypatch.setattr(starting_points, "SWITCH_THRESHOLD", 1000)
    solution, built_preconditioners = fit(few, "lbfgs", max_iter=n_passes - 1)
    assert (solution.stop_reason, built_preconditioners) == (MAX_ITER_REACHED, ["diagonal"])
    solution, built_preconditioners = fit(few, "lbfgs")
    assert solution.converged
    assert built_preconditioners[:2] == ["diagonal", "build_class_blocks"]
    assert all(n_iter >= 2 * n_passes for n_iter in list(preconditioners.schedule_builders(few))[2:])
    many, narrow = (build_objective(np.tile(X[:, :d], (20, 1)), np.tile(labels, 20), 2, l2=1e-6) for d in (600, 200))
    assert (
        preconditioners.count_build_passes(many, preconditioners.build_class_blocks)
        >= preconditioners.REFRESH_ITERATIONS[0]
    )
    starts = [preconditioners.schedule_builders(problem)[0] for problem in (many, narrow)]
    assert starts == [preconditioners.diagonal, preconditioners.build_class_blocks]


def test_preconditioners_after_a_sample(monkeypatch):
    objective, _ = make_objective(400, 60, 20, l2=1e-3)
    blocks, diagonal = preconditioners.build_class_blocks, preconditioners.diagonal
    assert preconditioners.schedule_builders(objective, is_sampled=True) == {0: blocks, 30: blocks, 120: blocks}
    monkeypatch.setattr(preconditioners, "is_factorization_affordable", lambda objective: False)
    for n_passes, n_iter in ((10, 30), (40, 40)):
        monkeypatch.setattr(preconditioners, "count_build_passes", lambda *_, n_passes=n_passes: n_passes)
        assert preconditioners.schedule_builders(objective, is_sampled=True) == {0: diagonal, n_iter: blocks}
    monkeypatch.undo()
    # The Hessian of a small problem requires enough sampled rows of each class. Rows of large weight are sampled more
    # often, but not if the probabilities of all rows are not stored.
    for n_classes, rare_class_size, weight, max_size, budget, is_hessian in (
        (3, 3_000, 1.0, 30, 10**9, True),
        (3, 3_000, 1.0, 29, 10**9, False),
        (2, 3_000, 1.0, 30, 10**9, False),
        (3, 900, 1.0, 30, 10**9, False),
        (3, 900, 5.0, 30, 10**9, True),
        (3, 3_000, 1.0, 30, 800_000, True),
        (3, 3_000, 2.0, 30, 800_000, False),
    ):
        monkeypatch.setattr(preconditioners, "SMALL_HESSIAN_SIZE", max_size)
        labels = 1 + np.arange(9_000) % (n_classes - 1)
        labels[:: 9_000 // rare_class_size] = 0
        X, weights = np.random.default_rng(0).normal(size=(9_000, 9)), np.where(labels == 0, weight, 1.0)
        objective = build_objective(X, labels, n_classes, weights=weights if weight > 1 else None, l2=1e-3)
        objective = replace_budget(objective, budget)
        assert objective.stores_probabilities == (budget == 10**9)
        builder = preconditioners.schedule_builders(objective, is_sampled=True)[0]
        assert (builder is not blocks) == is_hessian
        assert not is_hessian or builder.func is preconditioners.factorize_sampled_hessian


def test_blocks_of_classes_are_built_near_the_minimum(fit, monkeypatch):
    objective, _ = make_objective(400, 60, 20, l2=1e-3)
    first, second, *_ = preconditioners.schedule_builders(objective).values()
    assert (first, second) == (preconditioners.build_shared_block, preconditioners.build_class_blocks)
    monkeypatch.setattr(preconditioners, "MAX_CHEAP_BUILD_WORK", 0)
    monkeypatch.setattr(descent, "is_suitable", lambda objective: False)
    iterations = list(preconditioners.schedule_builders(objective))[1:]
    assert preconditioners.choose(objective) is preconditioners.build_class_blocks and len(iterations) == 2
    solution, built_preconditioners = fit(objective, "auto")
    n_expected_builds = sum(n_iter < solution.n_iter for n_iter in iterations)
    assert built_preconditioners == ["build_shared_block", *["build_class_blocks"] * n_expected_builds]
    # A fit first uses the preconditioner of a nearby solution and later builds another.
    again, built_preconditioners = fit(
        objective.with_penalty(9e-4, 0.0), "auto", (solution.parameters,), nearby_fit=solution
    )
    assert again.converged
    # A fit can stop at the iteration after which a preconditioner is built.
    possible_build_counts = [sum(n_iter < again.n_iter + end for n_iter in iterations) for end in (0, 1)]
    assert built_preconditioners in [["build_class_blocks"] * n for n in possible_build_counts]


def test_large_blocks_are_chosen_if_solves_are_fast():
    generator = np.random.default_rng(0)
    labels = np.arange(6_000) % 60
    dense = build_objective(generator.normal(size=(6_000, 500)).astype(np.float32), labels, 60, l2=1e-3)
    n_bytes = preconditioners.count_block_bytes(dense, 60)
    assert not dense.budget.allows_preconditioner(n_bytes) and dense.budget.allows_array_bytes(n_bytes)
    assert preconditioners.choose(dense) is preconditioners.build_class_blocks
    assert preconditioners.choose(dense, is_long_lived=False) is preconditioners.build_shared_block
    # With twenty entries per row, a solve costs as much as a pass.
    X = sparse.random_array((6_000, 500), density=0.04, rng=generator, format="csr")
    assert X.nnz * 2 < 501**2
    assert preconditioners.choose(build_objective(X, labels, 60, l2=1e-3)) is preconditioners.build_shared_block
    # With many classes, the blocks are computed from fewer rows.
    for n_classes, n_rows in ((32, preconditioners.ROWS_PER_COLUMN), (33, preconditioners.ROWS_PER_COLUMN // 2)):
        objective, _ = make_objective(3_900, 60, n_classes, l2=1e-3)
        assert preconditioners.are_class_blocks_affordable(objective)
        assert preconditioners._count_class_rows(objective) == n_rows * 61


def test_wide_sparse_data_use_the_diagonal_because_factors_are_expensive(fit):
    generator = np.random.default_rng(0)
    n, d = 30_000, 2_000
    X = sparse.csr_array((np.ones(2 * n), generator.integers(0, d, 2 * n), np.arange(0, 2 * n + 1, 2)), shape=(n, d))
    labels = generator.integers(0, 2, n)
    objective = build_objective(X, labels, 2, l2=1e-3)
    assert not preconditioners.is_factorization_affordable(objective)
    assert preconditioners.is_factorization_affordable(
        build_objective(generator.normal(size=(1_000, 300)), labels[:1_000], 2, l2=1)
    )
    solution, built_preconditioners = fit(objective, "lbfgs", tol=1e-4)
    assert (solution.converged, built_preconditioners) == (True, ["diagonal"])
