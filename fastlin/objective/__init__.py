"""The objective J, with its value, derivatives and bounds at a point.

`Objective.at` returns a `Point` with the derivatives and lower bounds. Passes overwrite buffers of `Objective` and
`Rows`, so only one thread at a time may use these objects. All other objects are immutable.
"""
