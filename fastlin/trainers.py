"""Models and trainers of the course, re-exported from `fastlin.course.trainers`."""

from fastlin.course.trainers import *  # noqa: F403
from fastlin.course.trainers import __all__ as __all__
