from _myelin_sdk.qualified_offset import *  # noqa: F401,F403
