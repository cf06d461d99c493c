"""The gradients of both models of the course beside central differences."""

import numpy as np

from fastlin import trainers
from fastlin.studies.settings import Results, binary_data, softmax_data

N_IMAGES = 100


def run(settings):
    """Compare at small random weights over 100 images, 20 where quick; a disagreement raises AssertionError."""
    n_images = 20 if settings.quick else N_IMAGES
    random_state = np.random.RandomState(settings.seed)
    worst = {}
    X, Y, *_ = binary_data(settings.data)
    models = {"binary": (trainers.BinaryModel(n_inputs=X.shape[1]), X, Y)}
    X, Y, *_ = softmax_data(settings.data)
    models["softmax"] = (trainers.SoftmaxModel(0.0, n_inputs=X.shape[1]), X, Y)
    models["softmax_l2"] = (trainers.SoftmaxModel(0.1, n_inputs=X.shape[1]), X, Y)
    for name, (model, X, Y) in models.items():
        settings.notify(name)
        model.w = random_state.normal(0, 0.01, model.w.shape)
        worst[name] = trainers.gradient_approximation_test(model, X[:n_images], Y[:n_images])
    return Results(
        parameters={"n_images": n_images, "epsilon": 1e-3, "tolerance": 1e-6},
        merits={"worst_difference": worst},
    )
