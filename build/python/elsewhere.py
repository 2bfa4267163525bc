"""Runs pip for machines of another architecture, which is the first argument: only
wheels are taken, and what requirements ask of the machine is answered for the other."""
import platform
import runpy
import sys

machine = sys.argv.pop(1)
platform.machine = lambda: machine  # environment markers: platform_machine
libc, version = platform.libc_ver()
newest = int(version.split(".")[1]) if libc == "glibc" else 17
older = ["manylinux2014"] + (["manylinux2010", "manylinux1"] if machine == "x86_64" else [])
names = ["manylinux_2_%d" % minor for minor in range(newest, 16, -1)] + older + ["linux"]
flags = ["--only-binary=:all:"]
for name in names:
    flags += ["--platform", "%s_%s" % (name, machine)]
sys.argv[0] = "pip"
sys.argv[2:2] = flags  # after the command
runpy.run_module("pip", run_name="__main__", alter_sys=True)
