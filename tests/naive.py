"""An independent oracle: the formulas of docs/derivations.md as plain loops. It imports nothing of fastlin."""

import math


def loss_and_gradient(X, labels, weights, coef, intercept):
    """Return sum_i s_i l_i and its derivatives by coef and intercept; one row of coef is the logistic loss."""
    n_classes, n_features = len(coef), len(coef[0])
    loss = 0.0
    gradient = [[0.0] * n_features for _ in range(n_classes)]
    intercept_gradient = [0.0] * n_classes
    for x, label, weight in zip(X, labels, weights, strict=True):
        x = [float(value) for value in x]
        scores = [sum(w * v for w, v in zip(coef[k], x, strict=True)) + intercept[k] for k in range(n_classes)]
        row_loss, residuals = logistic(scores[0], label) if n_classes == 1 else softmax(scores, label)
        loss += weight * row_loss
        for k in range(n_classes):
            intercept_gradient[k] += weight * residuals[k]
            for j in range(n_features):
                gradient[k][j] += weight * residuals[k] * x[j]
    return loss, gradient, intercept_gradient


def rounding_of_loss_and_gradient(magnitudes, weights, coef, intercept, eps):
    """Return bounds of what rounding changes in the three results of loss_and_gradient, computed with a unit of eps.

    magnitudes bound the entries of X, and what rounding made of them while they were scaled. A sum of m products is
    wrong by at most m eps times the sum of their magnitudes (Higham 2002, section 3.1), in any order of the additions.
    A score is such a sum of d products, after two operations on each x. The loss of a row moves by at most twice the
    error of its scores and a residual by at most as much; the exponential, the logarithm, quotients and differences
    add at most 16 eps of their size.
    """
    n_classes, n_features = len(coef), len(coef[0])
    loss, sizes, intercept_size = 0.0, [0.0] * n_features, 0.0
    for x, weight in zip(magnitudes, weights, strict=True):
        largest = max(
            abs(intercept[k]) + sum(abs(w) * float(v) for w, v in zip(coef[k], x, strict=True))
            for k in range(n_classes)
        )
        of_scores = 2 * (n_features + 4) * eps * largest
        loss += weight * (of_scores + 16 * eps * (1 + largest + math.log(n_classes + 1)))
        of_residual = of_scores + 16 * eps + (len(weights) + 2) * eps
        intercept_size += weight * of_residual
        for j in range(n_features):
            sizes[j] += weight * of_residual * float(x[j])
    return loss + len(weights) * 2**-52 * loss, [sizes] * n_classes, [intercept_size] * n_classes


def logistic(score, label):
    """Return -log p(label) and [p(1) - label], p(1) = 1 / (1 + exp(-score))."""
    if score >= 0:
        probability = 1 / (1 + math.exp(-score))
        loss = math.log1p(math.exp(-score)) + (0 if label == 1 else score)
    else:
        probability = math.exp(score) / (1 + math.exp(score))
        loss = math.log1p(math.exp(score)) - (score if label == 1 else 0)
    return loss, [probability - label]


def softmax(scores, label):
    """Return -log p(label) and p - one_hot(label), p_k = exp(s_k) / sum exp(s)."""
    largest = max(scores)
    exponentials = [math.exp(score - largest) for score in scores]
    total = sum(exponentials)
    residuals = [e / total - (k == label) for k, e in enumerate(exponentials)]
    return math.log(total) - (scores[label] - largest), residuals


def train(X, targets, w, learning_rate, batches, l2=0.0, momentum=0.0):
    """Take a step per batch of row numbers; return the weights and the mean loss of each batch before its step.

    targets are labels (one output: 0 or 1); w is a list of rows, one per input; l2 w is added to the gradient.
    """
    w = [list(row) for row in w]
    velocity = [[0.0] * len(row) for row in w]
    losses = []
    for batch in batches:
        columns = [[row[k] for row in w] for k in range(len(w[0]))]
        loss, gradient, _ = loss_and_gradient(
            [X[i] for i in batch], [targets[i] for i in batch], [1.0] * len(batch), columns, [0.0] * len(columns)
        )
        losses.append(loss / len(batch))
        for j, row in enumerate(w):
            for k in range(len(row)):
                velocity[j][k] = momentum * velocity[j][k] + gradient[k][j] / len(batch) + l2 * row[k]
                row[k] -= learning_rate * velocity[j][k]
    return w, losses


def hessian_product(X, weights, probabilities, direction, intercept_direction):
    """Return sum_i s_i H_i v by coef and intercept, H_i the derivative of the residuals; probabilities as rows."""
    n_classes, n_features = len(direction), len(direction[0])
    product = [[0.0] * n_features for _ in range(n_classes)]
    intercept_product = [0.0] * n_classes
    for x, weight, p in zip(X, weights, probabilities, strict=True):
        x = [float(value) for value in x]
        t = [
            sum(v * w for v, w in zip(direction[k], x, strict=True)) + intercept_direction[k] for k in range(n_classes)
        ]
        for k in range(n_classes):
            mean = p[0] * t[0] if n_classes == 1 else sum(q * u for q, u in zip(p, t, strict=True))
            slope = weight * p[k] * (t[k] - mean)
            intercept_product[k] += slope
            for j in range(n_features):
                product[k][j] += slope * x[j]
    return product, intercept_product


def weighted_gram(X, weights):
    """Return sum_i s_i [x_i, 1][x_i, 1]'."""
    rows = [[float(value) for value in x] + [1.0] for x in X]
    size = len(rows[0])
    return [
        [sum(s * x[j] * x[h] for s, x in zip(weights, rows, strict=True)) for h in range(size)] for j in range(size)
    ]


def class_pair_hessian(X, weights, probabilities):
    """Return sum_i s_i (diag(p) - p p') x [x_i, 1][x_i, 1]', one class: s_i p (1 - p) [x_i, 1][x_i, 1]'."""
    n_classes, size = len(probabilities[0]), len(X[0]) + 1
    hessian = [[0.0] * (n_classes * size) for _ in range(n_classes * size)]
    for x, weight, p in zip(X, weights, probabilities, strict=True):
        x = [float(value) for value in x] + [1.0]
        for k in range(n_classes):
            for other in range(n_classes):
                factor = weight * ((k == other) * p[k] - p[k] * p[other])
                for j in range(size):
                    for h in range(size):
                        hessian[k * size + j][other * size + h] += factor * x[j] * x[h]
    return hessian
