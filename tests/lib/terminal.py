"""A program on a terminal of its own."""
import os
import pty
import select
import signal
import time


class Terminal:
    """Runs argv with a terminal as its input and output. Use it with `with`: the program is ended then."""

    def __init__(self, argv, env):
        self.text = ""
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.execve(argv[0], [str(arg) for arg in argv], {**env, "TERM": "xterm"})

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self.fd)

    def type(self, text):
        os.write(self.fd, text.encode())

    def _read(self, seconds):
        if not select.select([self.fd], [], [], seconds)[0]:
            return True
        try:
            part = os.read(self.fd, 65536)
        except OSError:  # the program has closed it
            return False
        self.text += part.decode(errors="replace")
        return bool(part)

    def wait(self, what, seconds=60):
        """Until that has been written; all that was."""
        end = time.monotonic() + seconds
        while what not in self.text:
            assert time.monotonic() < end and self._read(0.5), (what, self.text)
        return self.text

    def finish(self, seconds=60):
        """The exit code, once the program has ended."""
        end = time.monotonic() + seconds
        while self._read(0.5):
            assert time.monotonic() < end, self.text
        code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        self.pid = 0
        return code
