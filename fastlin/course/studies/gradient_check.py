"""Checks gradients of the course's models and of the homework's network, and a training step, against definitions."""

from typing import Any

import numpy as np

from fastlin.course import trainers
from fastlin.course.studies.course_training import load_images
from fastlin.course.studies.settings import Results, Settings
from fastlin.course.trainers.measures import compute_central_differences, compute_gradient_pair
from fastlin.course.trainers.two_layer_net import TwoLayerNet

N_IMAGES = 100
FINITE_DIFFERENCE_STEP = 1e-3
PENALTY_STRENGTH = 0.1
# The loss of the homework's network is not differentiable where a unit is zero, and a smaller epsilon crosses fewer
# of these points. N_COMPARED_WEIGHTS entries of each parameter are compared.
NETWORK_DIFFERENCE_STEP, N_HIDDEN_UNITS, N_COMPARED_WEIGHTS = 1e-6, 20, 100
LEARNING_RATE = 0.5
# The penalty of each entry of w is written out here, so that the model's own factor is also tested.
PENALTIES = {
    "softmax_l2": lambda w: PENALTY_STRENGTH * w**2,
    "softmax_half_l2": lambda w: 0.5 * PENALTY_STRENGTH * w**2,
}


def study_gradient_check(settings: Settings) -> Results:
    """Compare gradients at small random weights on 100 images, or on 20 images in a quick study."""
    n_images = 20 if settings.quick else N_IMAGES
    random_state = np.random.RandomState(settings.seed)
    binary = [array[:n_images] for array in load_images(settings.data, "binary", None)[:2]]
    softmax = [array[:n_images] for array in load_images(settings.data, "softmax", None)[:2]]
    n_inputs = binary[0].shape[1]
    models: dict[str, Any] = {
        "binary": (trainers.BinaryModel(n_inputs=n_inputs), *binary),
        "softmax": (trainers.SoftmaxModel(0.0, n_inputs=n_inputs), *softmax),
        "softmax_l2": (trainers.SoftmaxModel(PENALTY_STRENGTH, half=False, n_inputs=n_inputs), *softmax),
        "softmax_half_l2": (trainers.SoftmaxModel(PENALTY_STRENGTH, half=True, n_inputs=n_inputs), *softmax),
    }
    largest_differences: dict[str, float] = {}
    for name, (model, X, Y) in models.items():
        settings.notify(name)
        model.w = np.asarray(random_state.normal(0, 0.01, model.w.shape))
        slopes, gradient = compute_gradient_pair(model, X, Y, FINITE_DIFFERENCE_STEP)
        largest_differences[name] = float(np.abs(slopes - gradient).max())
    settings.notify("two layers")
    largest_differences["two layers"] = _compare_network_gradients(softmax[0], softmax[1].argmax(axis=1), random_state)
    data = settings.data.name
    return Results(
        parameters={
            "data": data,
            "n_images": n_images,
            "epsilon": FINITE_DIFFERENCE_STEP,
            "tolerance": FINITE_DIFFERENCE_STEP**2,
            "lambda": PENALTY_STRENGTH,
        },
        metrics={
            "worst_difference": largest_differences,
            "worst_difference_of_penalty": {
                name: _compare_penalty_gradient(penalty, *models[name]) for name, penalty in PENALTIES.items()
            },
            "worst_difference_of_prediction_slope": _compare_prediction_slope(*models["binary"]),
            "worst_difference_of_a_step": _compare_training_step(*models["softmax"]),
        },
    )


def _compare_network_gradients(X, y, random_state):
    """Return the largest difference between TwoLayerNet's gradients and central differences."""
    state = np.random.get_state()
    try:
        # The class draws its weights from NumPy's global random state. It is restored afterwards.
        np.random.set_state(random_state.get_state())
        network = TwoLayerNet(X.shape[1], N_HIDDEN_UNITS, int(y.max()) + 1, std=0.1)
    finally:
        np.random.set_state(state)

    def cost():
        return network.loss(X, y, reg=PENALTY_STRENGTH)[0]

    largest_differences = []
    _, gradients = network.loss(X, y, reg=PENALTY_STRENGTH)
    for name, gradient in gradients.items():
        indices = random_state.choice(gradient.size, min(N_COMPARED_WEIGHTS, gradient.size), replace=False)
        slopes = compute_central_differences(cost, network.params[name], indices, NETWORK_DIFFERENCE_STEP)
        largest_differences.append(np.abs(slopes - gradient.flat[indices]).max())
    return float(max(largest_differences))


def _compare_training_step(model, X, Y):
    """Return the largest difference between the weights after a step and w - α ∂C/∂w."""
    model.backward(X, model.forward(X), Y)
    expected = model.w - LEARNING_RATE * model.grad
    trainer = trainers.SoftmaxTrainer(model, LEARNING_RATE, len(X), False, X, Y, X, Y, early_stopping=False)
    trainer.train_step(X, Y)
    return float(np.abs(model.w - expected).max())


def _compare_penalty_gradient(penalty, model, X, Y):
    """Return the largest difference between the gradient of the penalty and its central differences.

    `compute_gradient_pair` reads the penalty from the model, so it cannot detect a wrong factor of λ.
    """
    unpenalized_model = trainers.SoftmaxModel(0.0, n_inputs=len(model.w))
    unpenalized_model.w = model.w
    for softmax_model in (model, unpenalized_model):
        softmax_model.backward(X, softmax_model.forward(X), Y)
    slope = (penalty(model.w + FINITE_DIFFERENCE_STEP) - penalty(model.w - FINITE_DIFFERENCE_STEP)) / (
        2 * FINITE_DIFFERENCE_STEP
    )
    return float(np.abs(model.grad - unpenalized_model.grad - slope).max())


def _compare_prediction_slope(model, X, Y):
    """Return the largest difference between the gradient and the mean of x_n C_n (1 - C_n).

    Report D equates the two. The mean is the slope of the predictions C_n.
    """
    outputs = model.forward(X)
    model.backward(X, outputs, Y)
    slope = X.T @ (outputs * (1 - outputs)) / len(X)
    return float(np.abs(model.grad - slope).max())
