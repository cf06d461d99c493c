"""The course's models and trainers, by the name that its scripts import them from."""

from fastlin.course.trainers import *  # noqa: F403
from fastlin.course.trainers import __all__ as __all__
