"""The course: its models and trainers, its data sets, the studies of its reports, their pictures and their page.

`fastlin.trainers` and `fastlin.datasets` are what its scripts import. The library knows nothing of this room.
"""
