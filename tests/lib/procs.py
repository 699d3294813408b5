"""Our programs as processes: started, watched, stopped by pid, and none left behind."""
import ctypes
import os
import pathlib
import shutil
import signal
import subprocess
import time

from lib.wait import wait_until

PR_SET_CHILD_SUBREAPER = 36


def become_subreaper():
    """Orphans of what we start become our children, so that none can be overlooked."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def stats():
    """The files that tell about processes; one may be gone when it is read."""
    return [pathlib.Path("/proc", pid, "stat") for pid in os.listdir("/proc") if pid.isdigit()]


def children():
    """Direct children of this process that are not zombies: {pid: command}."""
    found = {}
    me = str(os.getpid())
    for stat in stats():
        try:
            text = stat.read_text()
        except OSError:
            continue
        name, rest = text.split("(", 1)[1].rsplit(")", 1)
        fields = rest.split()
        if fields[1] == me and fields[0] != "Z":
            found[int(stat.parent.name)] = name
    return found


def reap():
    """Collects orphans that ended."""
    for stat in stats():
        try:
            rest = stat.read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        if rest[1] == str(os.getpid()) and rest[0] == "Z":
            pid = int(stat.parent.name)
            if pid in Program.running:
                continue
            try:
                os.waitpid(pid, os.WNOHANG)
            except ChildProcessError:
                pass


class Program:
    """One started program; its output goes to a file."""

    running = {}

    def __init__(self, argv, log, env=None, name=None, cwd=None):
        self.argv = [str(a) for a in argv]
        self.name = name or pathlib.Path(self.argv[0]).name
        self.log = pathlib.Path(log)
        with open(self.log, "ab") as out:
            self.process = subprocess.Popen(
                self.argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                env=env, cwd=cwd, start_new_session=True)
        self.pid = self.process.pid
        Program.running[self.pid] = self

    def text(self):
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def poll(self):
        code = self.process.poll()
        if code is not None:
            Program.running.pop(self.pid, None)
        return code

    def alive(self):
        return self.poll() is None

    def wait_log(self, needle, timeout=30, times=1):
        """Waits for text in the log; that the program ends first is an error."""
        def there():
            if self.text().count(needle) >= times:
                return True
            if not self.alive():
                if self.text().count(needle) >= times:
                    return True
                raise RuntimeError(f"{self.name} ended with {self.poll()} before it said "
                                   f"{needle!r}:\n{self.tail()}")
            return False
        try:
            wait_until(there, timeout, what=f"{self.name} says {needle!r}")
        except AssertionError as e:
            raise AssertionError(f"{e}\n{self.tail()}") from None
        return self

    def tail(self, lines=60):
        return "\n".join(self.text().splitlines()[-lines:])

    def signal(self, sig):
        if self.alive():
            os.kill(self.pid, sig)

    def kill(self):
        """kill -9, and waits for the end."""
        self.signal(signal.SIGKILL)
        self.wait(10)

    def pause(self):
        self.signal(signal.SIGSTOP)

    def resume(self):
        self.signal(signal.SIGCONT)

    def terminate(self, timeout=30):
        """SIGTERM; returns the exit code."""
        self.signal(signal.SIGTERM)
        return self.wait(timeout)

    def wait(self, timeout=30):
        try:
            code = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(
                f"{self.name} did not end within {timeout} s:\n{self.tail()}") from None
        Program.running.pop(self.pid, None)
        return code

    def peak_kb(self):
        """VmHWM, the most memory it ever had resident."""
        for line in pathlib.Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1])
        return 0

    def cpu_s(self):
        """User and system time so far."""
        rest = pathlib.Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(rest[11]) + int(rest[12])) / os.sysconf("SC_CLK_TCK")


def stacks(pid):
    """Where each thread of a process is: its stack where gdb is at hand, else what it waits for."""
    if shutil.which("gdb"):
        return subprocess.run(["gdb", "-p", str(pid), "-batch", "-ex", "thread apply all bt 16"], text=True,
                              capture_output=True, timeout=120, check=False).stdout
    return "\n".join(f"{(task / 'comm').read_text().strip()}: {(task / 'wchan').read_text()}"
                     for task in sorted(pathlib.Path(f"/proc/{pid}/task").iterdir()))


SANITIZER_MARKS = ("ERROR: AddressSanitizer", "WARNING: ThreadSanitizer", "runtime error:",
                   "ERROR: LeakSanitizer", "Assertion `")


def sanitizer_report(text):
    """The lines from the first finding of a sanitizer or a failed assertion, or None."""
    places = [text.find(mark) for mark in SANITIZER_MARKS if mark in text]
    return text[min(places):][:6000] if places else None


def end_all(programs, timeout=15):
    """Ends what still runs: SIGTERM, then SIGKILL. Returns what was wrong."""
    wrong = []
    live = [p for p in programs if p.alive()]
    for p in live:
        p.resume()
        p.signal(signal.SIGTERM)
    deadline = time.monotonic() + timeout
    for p in live:
        try:
            p.wait(max(0.1, deadline - time.monotonic()))
        except AssertionError:
            wrong.append(f"{p.name} (pid {p.pid}) ignored SIGTERM for {timeout} s\n{stacks(p.pid)}\n{p.tail()}")
            p.signal(signal.SIGKILL)
            p.wait(10)
    for p in programs:
        found = sanitizer_report(p.text())
        if found:
            wrong.append(f"{p.name} (pid {p.pid}):\n{found}")
    return wrong
