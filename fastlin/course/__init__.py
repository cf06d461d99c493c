"""The course: its models and trainers, its data sets, the studies of its reports, their pictures and their page.

Scripts import `fastlin.trainers` and `fastlin.datasets`. Lower layers do not import this package.
"""
