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
