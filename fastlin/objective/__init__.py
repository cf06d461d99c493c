"""The objective J, and its value, derivatives and bounds at a point.

`Objective.at` returns a `Point`, which has the derivatives and lower bounds. `Objective` and `Rows` hold buffers that
passes overwrite, so one thread at a time may use them; all other objects are immutable.
"""
