"""Functions that a process of its own is for."""

import os
import signal
import sys
import time


def length(data, *rest):
    os.write(1, b"noise\n")
    os.write(2, b"noise\n")
    return [len(data), os.getpid(), *rest]


def crash(data, *rest):
    os.kill(os.getpid(), signal.SIGSEGV)


def crash_on_x(data):
    return crash(data) if data == b"x" else length(data)


def hang(data, *rest):
    time.sleep(60)


def fail(data, *rest):
    raise ValueError("a bug")


def leave(data, *rest):
    sys.exit(3)


def spin(data, *rest):
    while True:
        pass


def eat(data, *rest):
    return len(bytearray(1 << 30))


def eat_on_x(data):
    return eat(data) if data == b"x" else length(data)
