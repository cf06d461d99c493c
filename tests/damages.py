"""Random invalid arrays and sparse containers, each with one defect and with a description of the defect."""

import numpy as np
from scipy import sparse

# This index is far outside the bounds of each container.
FAR_INDEX = 10**8
TYPE_CHANGES = {
    "complex": lambda array: array.astype(complex),
    "objects": lambda array: array.astype(object),
    "text": lambda array: array.astype(str),
    "bytes": lambda array: array.astype("S8"),
    "dates": lambda array: array.astype(np.int64).view("M8[s]"),
    "records": lambda array: np.zeros(array.shape, [("x", float)]),
}
INVALID_ARRAYS = {
    "None": None,
    "a word": "coef",
    "a dict": {},
    "lists of several lengths": [[1.0], [1.0, 2.0]],
    "an object": object(),
    "a set": {1.0},
}
INVALID_COUNTS = {**INVALID_ARRAYS, "-1": -1, "10^30": 10**30, "a fraction": 5.5, "an array": np.array([5, 5])}


def choose(generator, values):
    """Return the name and the value of a random entry of a dict."""
    name = list(values)[generator.integers(len(values))]
    return name, values[name]


def change_shape(generator, shape):
    """Return a different shape, with one axis more or fewer, with reversed axes, or with an axis of another length."""
    axis = int(generator.integers(len(shape)))
    before, after = shape[:axis], shape[axis + 1 :]
    length = int(generator.choice([0, 1, shape[axis] - 1, shape[axis] + 1, 1000 * shape[axis]]))
    added = int(generator.choice([1, 2]))
    shapes = before + after, (*before, added, *shape[axis:]), shape[::-1], (*before, length, *after)
    return shapes[generator.integers(4)]


def damage_array(generator, array, accepted=()):
    """Return a description and a damaged array. Real arrays of an `accepted` shape do not count as damaged."""
    match generator.integers(4):
        case 0:
            name, change = choose(generator, TYPE_CHANGES)
            damaged = change(array)
        case 1:
            name, damaged = choose(generator, INVALID_ARRAYS)
        case _:
            shape = array.shape
            while shape in (array.shape, *accepted):
                shape = change_shape(generator, array.shape)
            name, damaged = f"shape {shape}", generator.normal(size=shape)
    assert not is_real_array(damaged, [array.shape, *accepted])
    return name, damaged


def is_real_array(value, shapes):
    """Return whether a value is an array of real numbers of one of the shapes."""
    try:
        array = np.array(value)
    except (TypeError, ValueError):
        return False
    return array.shape in shapes and array.dtype.kind in "biuf"


def damage_list(generator, arrays):
    """Return a description and a damaged list. One array or the length of the list is wrong."""
    index = int(generator.integers(len(arrays)))
    name, damaged = damage_array(generator, arrays[index])
    damaged_lists = {
        "an array less": arrays[:-1],
        "an array more": [*arrays, np.zeros(2)],
        f"{name} at {index}": [*arrays[:index], damaged, *arrays[index + 1 :]],
        "no list": choose(generator, INVALID_ARRAYS)[1],
    }
    return choose(generator, damaged_lists)


def damage_container(generator, dense, form):
    """Return a description and a damaged sparse container, which stores a dense array in a format."""
    X = getattr(sparse, f"{form}_{generator.choice(['array', 'matrix'])}")(dense)
    before = describe_container(X)
    name, damage = choose(generator, CONTAINER_DAMAGES[form])
    damage(X, generator)
    assert describe_container(X) != before
    return f"{type(X).__name__}: {name}", X


def describe_container(X):
    with np.printoptions(threshold=10**6):
        return repr(vars(X))


def change(attribute, make):
    """Return a function that replaces a container's attribute with `make(value, generator)`."""
    return lambda X, generator: setattr(X, attribute, make(getattr(X, attribute), generator))


def put_value(value):
    """Return a function that puts a value into a copy of an array, at a random position."""

    def make(array, generator):
        array = array.copy()
        array[generator.integers(len(array))] = value
        return array

    return make


def replace_coordinates(axis, make):
    return change(
        "coords",
        lambda coords, generator: tuple(
            make(coordinate, generator) if i == axis else coordinate for i, coordinate in enumerate(coords)
        ),
    )


def decrease_indptr(indptr, generator):
    index = int(generator.integers(1, len(indptr) - 1))
    indptr[index] = indptr[index + 1] + generator.integers(1, 50)
    return indptr


def replace_row(columns, value=1.0):
    """Return a function that replaces a random row of a LIL matrix with entries in the given columns."""

    def replace_entries(X, generator):
        row = int(generator.integers(X.shape[0]))
        X.rows[row], X.data[row] = list(columns), [value] * len(columns)

    return replace_entries


def add_key(key):
    """Return a function that adds a key to a DOK matrix without SciPy's checks."""
    return lambda X, generator: X._dict.__setitem__(key, 1.0)


COMPRESSED_DAMAGES = {
    "an index far outside": change("indices", put_value(FAR_INDEX)),
    "an index outside": change("indices", put_value(70)),
    "a negative index": change("indices", put_value(-7)),
    "an index of fractions": change("indices", lambda indices, _: indices + 0.5),
    "fewer indices": change("indices", lambda indices, _: indices[:-2]),
    "no indices": change("indices", lambda indices, _: indices[:0]),
    "indices of two dimensions": change("indices", lambda indices, _: indices[None]),
    "indices of text": change("indices", lambda indices, _: indices.astype(str)),
    "fewer values": change("data", lambda data, _: data[:-2]),
    "complex values": change("data", lambda data, _: data.astype(complex)),
    "values of objects": change("data", lambda data, _: data.astype(object)),
    "a short indptr": change("indptr", lambda indptr, _: indptr[:-2]),
    "a long indptr": change("indptr", lambda indptr, _: np.append(indptr, indptr[-1])),
    "indptr beyond the end": change("indptr", lambda indptr, _: np.append(indptr[:-1], indptr[-1] + FAR_INDEX)),
    "indptr that begins late": change("indptr", lambda indptr, _: np.append(1, indptr[1:])),
    "indptr that begins before": change("indptr", lambda indptr, _: np.append(-FAR_INDEX, indptr[1:])),
    "a decreasing indptr": change("indptr", decrease_indptr),
}
COORDINATE_DAMAGES = {
    "an index far outside": put_value(FAR_INDEX),
    "a negative index": put_value(-FAR_INDEX),
    "an index less": lambda coordinates, _: coordinates[:-1],
    "fractions": lambda coordinates, _: coordinates + 0.5,
}
CONTAINER_DAMAGES = {
    "csr": COMPRESSED_DAMAGES | {"values of two dimensions": change("data", lambda data, _: data[:, None])},
    "csc": COMPRESSED_DAMAGES,
    "bsr": {
        **COMPRESSED_DAMAGES,
        "values of one dimension": change("data", lambda data, _: np.ravel(data)),
        "blocks without rows": change("data", lambda data, _: data[:, :0]),
    },
    "coo": {
        **{
            f"{name} of axis {axis}": replace_coordinates(axis, make)
            for axis in (0, 1)
            for name, make in COORDINATE_DAMAGES.items()
        },
        "fewer values": change("data", lambda data, _: data[:-1]),
    },
    "lil": {
        "a column far outside": replace_row([0, FAR_INDEX]),
        "a negative column": replace_row([-FAR_INDEX]),
        "a column of fractions": replace_row([0.5, 1.5]),
        "a column index of text": replace_row(["a"]),
        "a column beyond int32": replace_row([0, 2**40]),
        "a value of text": replace_row([0], "x"),
        "more columns than values": lambda X, generator: X.rows[0].append(1),
        "fewer rows": change("rows", lambda rows, _: rows[:-1]),
        "no lists": change("rows", lambda rows, _: np.full(len(rows), None)),
    },
    "dia": {
        "fewer offsets": change("offsets", lambda offsets, _: offsets[1:]),
        "offsets of two dimensions": change("offsets", lambda offsets, _: offsets[None]),
        "values of one dimension": change("data", lambda data, _: np.ravel(data)),
        "complex values": change("data", lambda data, _: data.astype(complex)),
    },
    "dok": {
        "a row far outside": add_key((FAR_INDEX, 0)),
        "a column far outside": add_key((0, FAR_INDEX)),
        "a negative row": add_key((-FAR_INDEX, 0)),
    },
}
