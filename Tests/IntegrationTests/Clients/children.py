"""Programs that a scenario starts; they end with it, and with this process."""
import ctypes
import signal
import subprocess
import threading

from scenarios import Failed


def _end_with_parent():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


class Child:
    """A running program and the lines of its output, with what it says on standard error among them."""

    def __init__(self, context, command):
        self.name = command[0] if command[0] != "stdbuf" else command[2]
        self.timeout = context.timeout
        self.process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            errors="replace", preexec_fn=_end_with_parent,
        )
        context.cleanup.append(self.kill)
        self._lines, self._next, self._changed, self._ended = [], 0, threading.Condition(), False
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self):
        for line in self.process.stdout:
            with self._changed:
                self._lines.append(line.rstrip("\n"))
                self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def lines(self):
        with self._changed:
            return list(self._lines)

    def line(self, start, anywhere=False):
        """The next line that begins with this (or has it in it); those before it are passed over."""
        found = []

        def look():
            while self._next < len(self._lines):
                line = self._lines[self._next]
                self._next += 1
                if start in line if anywhere else line.startswith(start):
                    found.append(line)
                    return True
            return self._ended

        with self._changed:
            self._changed.wait_for(look, self.timeout)
            if not found:
                raise Failed(f"{self.name} did not say {start!r}; its last lines: {self._lines[-3:]}")
        return found[0]

    def kill(self):
        self.process.kill()
        self.process.wait()
