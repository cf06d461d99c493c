"""The objective J as a value, and everything that is known of it at one point.

`Objective.at` returns a `Point`, which has derivatives and lower bounds. Only `Objective` and `Rows` change after they
are made: they hold memory that passes use, so one thread at a time may use one.
"""
