from _myelin_sdk.response import *  # noqa: F401,F403
