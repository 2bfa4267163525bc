from _myelin_sdk.context import *  # noqa: F401,F403
