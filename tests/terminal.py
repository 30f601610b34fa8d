"""A pseudo-terminal with a gendata command in it."""

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time

DEADLINE = 120
"""Seconds after which nothing is waited for any more: for hangs, no measure of speed."""


class Terminal:
    """``gendata`` with these arguments on a terminal; its answers are read until they hold a text."""

    def __init__(self, *args, columns=100, **environment):
        outer, inner = pty.openpty()
        fcntl.ioctl(inner, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
        kept = {name: value for name, value in os.environ.items() if name not in {"NO_COLOR", "COLUMNS", "LINES"}}
        # a shell that works in the background ignores Ctrl-C, and so would what is started from here
        handler = signal.signal(signal.SIGINT, signal.default_int_handler)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "gendata", *map(str, args)],
            stdin=inner,
            stdout=inner,
            stderr=inner,
            # nobody answers here to where the cursor is
            env={**kept, "TERM": "xterm", "PROMPT_TOOLKIT_NO_CPR": "1", **environment},
            start_new_session=True,
        )
        signal.signal(signal.SIGINT, handler)
        os.close(inner)
        self._outer, self._read = outer, ""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        os.close(self._outer)

    def type(self, text):
        os.write(self._outer, text.encode())

    def until(self, text=None):
        """What is printed up to and with ``text``, or to the end."""
        end = time.monotonic() + DEADLINE
        while text is None or text not in self._read:
            assert time.monotonic() < end, self._read
            if select.select([self._outer], [], [], 1)[0]:
                try:
                    part = os.read(self._outer, 4096)
                except OSError:  # Linux: the other side is closed
                    part = b""
                if not part:
                    assert text is None, f"ended without {text!r}: {self._read}"
                    break
                self._read += part.decode(errors="replace")
        before, found, self._read = self._read.partition(text) if text else (self._read, "", "")
        return before + found

    def ask(self, line):
        """The answer to a line typed at the prompt."""
        self.type(line + "\r")
        self.until("\x1b[?2004l")  # the line is taken
        return self.until("search>")
