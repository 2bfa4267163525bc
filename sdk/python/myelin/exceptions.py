from _myelin_sdk.exceptions import *  # noqa: F401,F403
