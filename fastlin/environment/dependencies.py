"""Import the libraries that `import fastlin` needs, so that no signal handler can interrupt their import.

After an interrupted import of NumPy or SciPy, all later imports can fail.
"""

from fastlin.environment.interruption import import_uninterrupted

import_uninterrupted(
    "joblib",
    "numpy.typing",
    "platformdirs",
    "scipy.sparse",
    "scipy.special",
    "sklearn.linear_model",
    "sklearn.metrics",
    "sklearn.model_selection",
    "sklearn.neural_network",
    "threadpoolctl",
)
