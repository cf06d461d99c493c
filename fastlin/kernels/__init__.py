"""Every compiled function, and the only package that imports Numba: functions over arrays, no validation.

dense.py walks full rows, minibatch.py takes steps over shuffled ones; compilation.py holds the decorator and the
cache, threads.py the spreading over row blocks.
"""
