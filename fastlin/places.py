"""The place where fastlin keeps files between runs: the user's cache folder."""

from platformdirs import user_cache_path


def user_cache_folder():
    r"""Return fastlin's folder in the user's cache, which need not exist; None for a user without a home.

    The folder is ``$XDG_CACHE_HOME/fastlin`` or ``~/.cache/fastlin`` on Linux. It is
    ``%LOCALAPPDATA%\fastlin\Cache`` on Windows, and on macOS ``~/Library/Caches/fastlin`` unless ``XDG_CACHE_HOME`` is
    set.
    """
    try:
        return user_cache_path("fastlin", appauthor=False)
    except RuntimeError:
        return None
