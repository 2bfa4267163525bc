from _myelin_sdk.event import *  # noqa: F401,F403
