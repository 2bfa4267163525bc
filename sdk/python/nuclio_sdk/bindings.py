from _myelin_sdk.bindings import *  # noqa: F401,F403
