from _myelin_sdk.platform import *  # noqa: F401,F403
