"""Draws of damages: of arrays and sparse containers, none of which is valid input any more.

A damage is a pair of what was done, in words, and what became of it. Finite numbers in place of others are none.
"""

import numpy as np
from scipy import sparse

# Entries, rows and columns of what is damaged are far fewer.
FAR = 10**8
TYPES = {
    "complex": lambda array: array.astype(complex),
    "objects": lambda array: array.astype(object),
    "text": lambda array: array.astype(str),
    "bytes": lambda array: array.astype("S8"),
    "dates": lambda array: array.astype(np.int64).view("M8[s]"),
    "records": lambda array: np.zeros(array.shape, [("x", float)]),
}
NO_ARRAYS = {
    "None": None,
    "a word": "coef",
    "a dict": {},
    "lists of several lengths": [[1.0], [1.0, 2.0]],
    "an object": object(),
    "a set": {1.0},
}
NO_COUNTS = {**NO_ARRAYS, "-1": -1, "10^30": 10**30, "a fraction": 5.5, "an array": np.array([5, 5])}
FORMATS = "csr", "csc", "bsr", "coo", "lil", "dia", "dok"


def choose(generator, values):
    """Return the name and the value of one of a dict."""
    name = list(values)[generator.integers(len(values))]
    return name, values[name]


def draw_shape(generator, shape):
    """Return another shape: with an axis more or less, or of another length."""
    axis = int(generator.integers(len(shape)))
    match generator.integers(4):
        case 0:
            return shape[:axis] + shape[axis + 1 :]
        case 1:
            return (*shape[:axis], int(generator.choice([1, 2])), *shape[axis:])
        case 2:
            return shape[::-1]
    length = int(generator.choice([0, 1, shape[axis] - 1, shape[axis] + 1, 1000 * shape[axis]]))
    return (*shape[:axis], length, *shape[axis + 1 :])


def draw_array(generator, array, accepted=()):
    """Return a damage of an array of numbers; of the shapes beside its own the accepted ones are no damage."""
    match generator.integers(4):
        case 0:
            name, change = choose(generator, TYPES)
            damaged = change(array)
        case 1:
            name, damaged = choose(generator, NO_ARRAYS)
        case _:
            shape = array.shape
            while shape == array.shape or shape in accepted:
                shape = draw_shape(generator, array.shape)
            name, damaged = f"shape {shape}", generator.normal(size=shape)
    assert not is_like(damaged, [array.shape, *accepted])
    return name, damaged


def is_like(value, shapes):
    """Say whether a value is an array of real numbers of one of the shapes."""
    try:
        found = np.array(value)
    except (TypeError, ValueError):
        return False
    return found.shape in shapes and found.dtype.kind in "biuf"


def draw_list(generator, arrays):
    """Return a damage of a list of arrays: of one of them, or of its length."""
    match generator.integers(4):
        case 0 if arrays:
            return "an array less", arrays[:-1]
        case 1:
            return "an array more", [*arrays, np.zeros(2)]
        case 2 if arrays:
            place = int(generator.integers(len(arrays)))
            name, damaged = draw_array(generator, arrays[place])
            return f"{name} at {place}", [*arrays[:place], damaged, *arrays[place + 1 :]]
    return "no list", choose(generator, NO_ARRAYS)[1]


def draw_container(generator, dense, form=None):
    """Return a damage of the sparse container of an array, in a format that is drawn unless it is given."""
    form = form or FORMATS[generator.integers(len(FORMATS))]
    X = getattr(sparse, f"{form}_{generator.choice(['array', 'matrix'])}")(dense)
    before = describe_container(X)
    damages = CONTAINER_DAMAGES[form]
    name, change = choose(generator, damages)
    change(X, generator)
    assert describe_container(X) != before
    return f"{type(X).__name__}: {name}", X


def describe_container(X):
    """Return all that a container holds as a text."""
    with np.printoptions(threshold=10**6):
        return repr(vars(X))


def put_index(attribute, value):
    """Return a change of an index that is drawn."""

    def change(X, generator):
        array = getattr(X, attribute).copy()
        array[generator.integers(len(array))] = value
        setattr(X, attribute, array)

    return change


def put_axis(axis, make):
    """Return a change of the coordinates of an axis of a COO matrix."""

    def change(X, generator):
        coords = list(X.coords)
        coords[axis] = make(coords[axis].copy(), generator)
        X.coords = tuple(coords)

    return change


def put_far(coordinates, generator, value=FAR):
    coordinates[generator.integers(len(coordinates))] = value
    return coordinates


def set_attribute(attribute, make):
    """Return a change that puts what a function makes of an attribute in its place."""

    def change(X, generator):
        setattr(X, attribute, make(getattr(X, attribute)))

    return change


def let_indptr_fall(X, generator):
    place = int(generator.integers(1, len(X.indptr) - 1))
    X.indptr[place] = X.indptr[place + 1] + generator.integers(1, 50)


def put_row(columns, value=1.0):
    """Return a change of a row of a LIL matrix to columns of such numbers."""

    def change(X, generator):
        row = int(generator.integers(X.shape[0]))
        X.rows[row], X.data[row] = list(columns), [value] * len(columns)

    return change


def put_key(key):
    """Return a change of a DOK matrix, to which SciPy would not add the key."""
    return lambda X, generator: X._dict.__setitem__(key, 1.0)


COMPRESSED = {
    "an index far outside": put_index("indices", FAR),
    "an index outside": put_index("indices", 70),
    "a negative index": put_index("indices", -7),
    "an index of fractions": set_attribute("indices", lambda indices: indices + 0.5),
    "fewer indices": set_attribute("indices", lambda indices: indices[:-2]),
    "no indices": set_attribute("indices", lambda indices: indices[:0]),
    "indices of two dimensions": set_attribute("indices", lambda indices: indices[None]),
    "indices of text": set_attribute("indices", lambda indices: indices.astype(str)),
    "fewer values": set_attribute("data", lambda data: data[:-2]),
    "complex values": set_attribute("data", lambda data: data.astype(complex)),
    "values of objects": set_attribute("data", lambda data: data.astype(object)),
    "a short indptr": set_attribute("indptr", lambda indptr: indptr[:-2]),
    "a long indptr": set_attribute("indptr", lambda indptr: np.append(indptr, indptr[-1])),
    "indptr beyond the end": set_attribute("indptr", lambda indptr: np.append(indptr[:-1], indptr[-1] + FAR)),
    "indptr that begins late": set_attribute("indptr", lambda indptr: np.append(1, indptr[1:])),
    "indptr that begins before": set_attribute("indptr", lambda indptr: np.append(-FAR, indptr[1:])),
    "indptr that falls": let_indptr_fall,
}
CONTAINER_DAMAGES = {
    "csr": {**COMPRESSED, "values of two dimensions": set_attribute("data", lambda data: data[:, None])},
    "csc": COMPRESSED,
    "bsr": {
        **COMPRESSED,
        "values of one dimension": set_attribute("data", np.ravel),
        "blocks without rows": set_attribute("data", lambda data: data[:, :0]),
    },
    "coo": {
        f"{name} of axis {axis}": put_axis(axis, make)
        for axis in (0, 1)
        for name, make in {
            "an index far outside": put_far,
            "a negative index": lambda coordinates, generator: put_far(coordinates, generator, -FAR),
            "an index less": lambda coordinates, generator: coordinates[:-1],
            "fractions": lambda coordinates, generator: coordinates + 0.5,
        }.items()
    }
    | {"fewer values": set_attribute("data", lambda data: data[:-1])},
    "lil": {
        "a column far outside": put_row([0, FAR]),
        "a negative column": put_row([-FAR]),
        "a column of fractions": put_row([0.5, 1.5]),
        "a column of text": put_row(["a"]),
        "a column beyond int32": put_row([0, 2**40]),
        "a value of text": put_row([0], "x"),
        "more columns than values": lambda X, generator: X.rows[0].append(1),
        "fewer rows": set_attribute("rows", lambda rows: rows[:-1]),
        "no lists": set_attribute("rows", lambda rows: np.full(len(rows), None)),
    },
    "dia": {
        "fewer offsets": set_attribute("offsets", lambda offsets: offsets[1:]),
        "offsets of two dimensions": set_attribute("offsets", lambda offsets: offsets[None]),
        "values of one dimension": set_attribute("data", np.ravel),
        "complex values": set_attribute("data", lambda data: data.astype(complex)),
    },
    "dok": {
        "a row far outside": put_key((FAR, 0)),
        "a column far outside": put_key((0, FAR)),
        "a negative row": put_key((-FAR, 0)),
    },
}
