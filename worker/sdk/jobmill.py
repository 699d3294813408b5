"""For handlers of jobmill in Python: one file, the standard library, Python 3.9 or later.

    #!/usr/bin/python3
    import jobmill

    @jobmill.handler
    def copy(job):
        job.info("copying", rows=job.params["rows"])
        return {"rows": job.params["rows"]}

    jobmill.run()

The decorated function is called with a Job and gives the result, once or for one job after the other as
the definition's mode says. By hand, outside jobmill, the same script runs
with params from its argument or standard input: `./copyrows.py '{"rows": 3}'`. docs/handlers.md has the rest.
"""
import asyncio
import atexit
import dataclasses
import datetime
import inspect
import json
import os
import re
import signal
import sys
import traceback
import typing

__all__ = ["handler", "run", "Job", "Step", "Permanent", "Retry", "Cancelled"]

_PERMANENT, _TEMPFAIL, _FAILED = 65, 75, 1
_MAX_LINE = 1 << 20


class Permanent(Exception):
    """Trying again is pointless: the job fails (exit status 65)."""


class Retry(Exception):
    """Try again later (exit status 75)."""


class Cancelled(BaseException):
    """SIGTERM: the job was cancelled, its time is over, or the worker shuts down. Clean up, and let it pass."""


@dataclasses.dataclass
class Step:
    """The step of the definition that runs."""
    name: str = "run"
    attempt: int = 1


class _Reported:
    """A step found on the way, as job.step() gives it: set data for its row."""

    def __init__(self):
        self.data = None


class _StepContext:
    def __init__(self, job, name):
        self._job, self._name, self._reported = job, name, _Reported()

    def __enter__(self):
        self._job._say({"step": {"name": self._name, "status": "running"}})
        return self._reported

    def __exit__(self, kind, error, trace):
        step = {"name": self._name, "status": "success", "data": self._reported.data}
        if kind is not None:
            step["status"] = "cancelled" if issubclass(kind, Cancelled) else "failed"
            step["error"] = _describe(error)
        self._job._say({"step": step})
        return False


@dataclasses.dataclass
class Job:
    """A job, and what it may say while it runs."""
    id: str = ""
    type: str = ""
    attempt: int = 1
    project: str = "default"
    params: dict = dataclasses.field(default_factory=dict)
    metadata: dict = dataclasses.field(default_factory=dict)
    schedule_id: typing.Optional[str] = None
    due_at: typing.Optional[datetime.datetime] = None
    lock_token: typing.Any = None
    traceparent: typing.Optional[str] = None
    current_step: Step = dataclasses.field(default_factory=Step)
    steps: dict = dataclasses.field(default_factory=dict)
    documents: dict = dataclasses.field(default_factory=dict)
    _output_dir: typing.Optional[str] = None
    _say: typing.Callable = lambda line: None

    def log(self, message, level="INFO", **details):
        """A row of the job's log."""
        row = {"level": level.upper(), "message": str(message)}
        if details:
            row["details"] = details
        self._say({"log": row})

    def debug(self, message, **details):
        self.log(message, "DEBUG", **details)

    def info(self, message, **details):
        self.log(message, "INFO", **details)

    def warning(self, message, **details):
        self.log(message, "WARNING", **details)

    def error(self, message, **details):
        self.log(message, "ERROR", **details)

    def progress(self, ok=None, failed=None, total=None):
        """How far it is; what is left out stays as it was."""
        counts = {"total": total, "ok": ok, "failed": failed}
        self._say({"progress": {name: count for name, count in counts.items() if count is not None}})

    def set(self, **metadata):
        """Merges scalars into the job's metadata."""
        self._say({"set": metadata})

    def step(self, name):
        """A step done on the way: `with job.step("verify") as step: step.data = {...}`."""
        return _StepContext(self, name)

    @property
    def output_dir(self):
        """The directory for files that belong to the job; made when it is asked for."""
        if self._output_dir is None:
            import tempfile
            self._output_dir = tempfile.mkdtemp(prefix="jobmill-")
            _warn(f"files go to {self._output_dir}")
        os.makedirs(self._output_dir, mode=0o700, exist_ok=True)
        return self._output_dir


def _describe(error):
    text = str(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")


def _dump(line):
    """What is said on the way is never worth an exception: the worker gets the nearest JSON there is."""
    try:
        text = json.dumps(line, default=str, allow_nan=False, ensure_ascii=False)
    except ValueError:  # NaN, Infinity
        text = json.dumps(json.loads(json.dumps(line, default=str), parse_constant=str), ensure_ascii=False)
    return _NUL.sub("\ufffd", text) if "\\u0000" in text else text


def _warn(text):
    print(f"jobmill: {text}", file=sys.stderr, flush=True)


def _instant(text):
    if not text:
        return None
    head, dot, fraction = text.rstrip("Z").partition(".")
    instant = datetime.datetime.fromisoformat(head).replace(tzinfo=datetime.timezone.utc)
    return instant + datetime.timedelta(microseconds=int(fraction.ljust(6, "0")[:6])) if dot else instant


def _job_of(line, say):
    message = json.loads(line)
    found, step = message["job"], message.get("step") or {}
    return Job(id=found["id"], type=found["type"], attempt=found["attempt"], project=found.get("project", "default"),
               params=found["params"], metadata=found.get("metadata") or {}, schedule_id=found.get("schedule_id"),
               due_at=_instant(found.get("due_at")), lock_token=found.get("lock_token"),
               traceparent=found.get("traceparent"), current_step=Step(step.get("name", "run"), step.get("attempt", 1)),
               steps=message.get("steps") or {}, documents=message.get("documents") or {},
               _output_dir=found.get("output_dir") or os.environ.get("JOBMILL_OUTPUT_DIR"), _say=say)


# What the process is doing, for the signal.
_busy = False
_cancelled = False
_handlers = {}
_running = False


def _on_term(_number, _frame):
    global _cancelled
    _cancelled = True
    if _busy:
        raise Cancelled("asked to stop")
    os._exit(0)


def _call(job):
    """(exit status, error or None, result)"""
    global _busy
    function = _handlers.get(job.type) or _handlers.get(None)
    if function is None:
        return _PERMANENT, f"this handler has nothing for jobs of type {job.type}", None
    try:
        _busy = True
        result = function(job)
        if inspect.iscoroutine(result):
            result = asyncio.run(result)
        _busy = False
        return 0, None, result
    except Cancelled as e:
        return 128 + signal.SIGTERM, _describe(e), None
    except Permanent as e:
        return _PERMANENT, str(e) or "Permanent", None
    except Retry as e:
        return _TEMPFAIL, str(e) or "Retry", None
    except SystemExit as e:
        status = e.code if isinstance(e.code, int) else _FAILED if e.code else 0
        return status & 255, str(e.code) if e.code and not isinstance(e.code, int) else None, None
    except Exception as e:
        traceback.print_exc()
        return _FAILED, _describe(e), None
    finally:
        _busy = False


def _result_line(status, result):
    """The status may change: what is no JSON cannot be a result."""
    if status or result is None:
        return status, None, None
    try:
        text = json.dumps(result, allow_nan=False, ensure_ascii=False)
        size = len(text.encode())
    except (TypeError, ValueError) as e:
        return _PERMANENT, f"the handler's result is no JSON: {e}", None
    if size > _MAX_LINE - 10000:
        return _PERMANENT, f"the handler's result has {size} bytes, 1 MiB is the most", None
    if "\\u0000" in text and _NUL.search(text):
        return _PERMANENT, "the handler's result has the character U+0000, which PostgreSQL does not take", None
    return status, None, text


class _Pipe:
    """Descriptor 3: a line a write, so that nothing is lost with the process."""

    def __init__(self, fd=3):
        self.fd = fd

    def say(self, line):
        self.write(_dump(line) + "\n")

    def write(self, text):
        data = text.encode("utf-8", "replace")
        while data:
            data = data[os.write(self.fd, data):]


def _serve_loop():
    """One job a line, until end of file."""
    pipe = _Pipe()
    lines = sys.stdin.buffer
    for line in iter(lines.readline, b""):
        job = _job_of(line, pipe.say)
        status, error, result = _call(job)
        _flush()
        status, broken, text = (status, error, None) if status else _result_line(status, result)
        end = {"exit": status, "id": job.id}
        if status and (broken or error):
            end["error"] = broken or error
        pipe.write(('{"result":%s,"end":' % text if text else '{"end":') + _dump(end) + "}\n")
        if _cancelled:
            break
    _leave(0)


def _serve_once():
    pipe = _Pipe()
    status, error, result = _call(_job_of(sys.stdin.buffer.readline(), pipe.say))
    if not status:
        status, error, text = _result_line(status, result)
        if text:
            pipe.write('{"result":%s}\n' % text)
    if status and error and status != _FAILED:  # of other exceptions the traceback was printed
        print(error, file=sys.stderr)
    _leave(status)


def _run_by_hand():
    """Without a worker: params from the first argument or standard input, what is said to standard error."""
    _warn("not started by jobmill: logs go to standard error, nothing is recorded")
    text = sys.argv[1] if len(sys.argv) > 1 else "" if sys.stdin.isatty() else sys.stdin.read()
    try:
        message = json.loads(text or "{}")
        if not isinstance(message, dict):
            raise ValueError("params must be a JSON object")
    except ValueError as e:
        _warn(f"{e}; usage: {sys.argv[0]} '{{\"name\": value}}'")
        _leave(2)
    if "job" not in message:
        types = [name for name in _handlers if name]
        message = {"job": {"id": "00000000-0000-7000-8000-000000000000", "type": types[0] if types else "",
                           "attempt": 1, "params": message}}
    job = _job_of(json.dumps(message), lambda line: _warn(_dump(line)))
    status, error, result = _call(job)
    if not status:
        status, error, text = _result_line(status, result)
        if text:
            print(text)
    if status and error and status != _FAILED:
        _warn(error)
    _leave(status)


def _flush():
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            pass


def _leave(status):
    _flush()
    os._exit(status)


def run():
    """Serves the handlers: the script's last call. Does not return."""
    global _running
    _running = True
    signal.signal(signal.SIGTERM, _on_term)
    mode = os.environ.get("JOBMILL_MODE")
    if mode == "loop":
        _serve_loop()
    elif mode == "once":
        _serve_once()
    else:
        _run_by_hand()


def _forgotten():
    if _handlers and not _running and os.environ.get("JOBMILL_MODE"):
        _warn("the script ended without jobmill.run(): no job was handled")
        _leave(_FAILED)


def handler(what=None):
    """@handler, or @handler("type") where one program serves several types. The function may be async."""
    def register(function, name):
        if name in _handlers:
            raise ValueError(f"there are two handlers for {name or 'every type'}")
        if not _handlers:
            atexit.register(_forgotten)
        _handlers[name] = function
        return function
    if callable(what):
        return register(what, None)
    return lambda function: register(function, what)
