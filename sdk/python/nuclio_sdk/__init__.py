"""The interface of a function to its host; see the documentation of the Python runtime."""

from _myelin_sdk import *  # noqa: F401,F403
from _myelin_sdk import __all__  # noqa: F401
