from _myelin_sdk.logger import *  # noqa: F401,F403
