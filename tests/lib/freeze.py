"""Stops one thread of a program, as if it hung, while the others go on."""
import contextlib
import ctypes
import os
import pathlib

from lib.wait import wait_until

PTRACE_DETACH, PTRACE_SEIZE, PTRACE_INTERRUPT = 17, 0x4206, 0x4207
WALL = 0x40000000

_libc = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
_libc.ptrace.restype = ctypes.c_long


def _ptrace(what, tid):
    if _libc.ptrace(what, tid, None, None):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def thread_of(pid, name):
    """The thread of that name."""
    def there():
        for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
            try:
                if (task / "comm").read_text().strip() == name:
                    return int(task.name)
            except OSError:  # a thread that has ended since
                continue
        return None
    return wait_until(there, 10, what=f"thread {name} of {pid}")


@contextlib.contextmanager
def frozen(program, thread):
    tid = thread_of(program.pid, thread)
    _ptrace(PTRACE_SEIZE, tid)
    try:
        _ptrace(PTRACE_INTERRUPT, tid)
        os.waitpid(tid, WALL)  # it has stopped
        yield
    finally:
        _ptrace(PTRACE_DETACH, tid)
