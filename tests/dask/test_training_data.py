import pytest

from fastlin.dask import LogisticRegression

from .conftest import cut, make_rows


def test_without_a_client_the_error_says_how_to_get_one():
    with pytest.raises(ValueError, match="There is no Dask client"):
        LogisticRegression().fit(*cut(*make_rows()))
