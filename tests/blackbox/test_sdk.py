"""The modules for authors of handlers, under the worker's own step runner and by hand."""
import json
import os
import signal
import subprocess
import textwrap
import time

import pytest

from lib.paths import PYTHON, ROOT, bin_dir
from lib.wait import wait_until

SDK = ROOT / "worker" / "sdk"
PY_HEAD = "import jobmill, os, sys, time\n"
JS_HEAD = "const { handler, run, Permanent, Retry } = await import(`${process.env.JOBMILL_SDK_DIR}/jobmill.mjs`);\n"


class Sdk:
    """Writes handlers and runs them: language py or mjs, mode once or loop."""

    def __init__(self, tmp, language, mode):
        self.tmp, self.language, self.mode = tmp, language, mode
        self.program = PYTHON if language == "py" else "node"

    def script(self, py, js):
        path = self.tmp / f"handler_under_test.{self.language}"
        body = textwrap.dedent(py if self.language == "py" else js)
        path.write_text((PY_HEAD if self.language == "py" else JS_HEAD) + body)
        return str(path)

    def definition(self, script, steps=1, **more):
        path = self.tmp / "t.json"
        exe = {"argv": [self.program, script], "mode": self.mode, "env": {"PATH": os.environ["PATH"]}}
        path.write_text(json.dumps({"type": "t", "backoff": {"initial_s": 0.01}, **more, "steps": [
            {"name": f"s{i}", "exec": exe} for i in range(steps)]}))
        return str(path)

    def command(self, script, *args, **more):
        return [bin_dir() / "jobmill-worker", "run", self.definition(script, **more), *args,
                f"--worker.work_dir={self.tmp}/work"]

    def run(self, py, js, *args, **more):
        done = subprocess.run(self.command(self.script(py, js), *args, **more), capture_output=True, text=True, timeout=60,
                              check=False)
        return done.returncode, done.stdout, done.stderr


@pytest.fixture(params=["py-once", "py-loop", "mjs-once", "mjs-loop"])
def sdk(request, tmp):
    return Sdk(tmp, *request.param.split("-"))


def test_the_job_as_it_comes(sdk):
    code, out, err = sdk.run("""
        @jobmill.handler("t")
        def t(job):
            return {"type": job.type, "attempt": job.attempt, "project": job.project, "params": job.params,
                    "metadata": job.metadata, "step": job.current_step.name, "steps": job.steps, "due": job.due_at,
                    "lock": job.lock_token, "trace": job.traceparent, "documents": job.documents}
        jobmill.run()
        """, """
        handler('t', (job) => ({ type: job.type, attempt: job.attempt, project: job.project, params: job.params,
          metadata: job.metadata, step: job.step_name, steps: job.steps, due: job.due_at, lock: job.lock_token,
          trace: job.traceparent, documents: job.documents }));
        run();
        """, "--params", '{"text": "ä\\u2028🌍"}', "--metadata", '{"region": "eu"}', "--project", "p", steps=2)
    assert code == 0, err
    got = json.loads(out)
    first = got["steps"].pop("s0")
    assert got == {"type": "t", "attempt": 1, "project": "p", "params": {"text": "ä\u2028🌍"}, "metadata": {"region": "eu"},
                   "step": "s1", "steps": {}, "due": None, "lock": None, "trace": None, "documents": {}}
    assert first["step"] == "s0"


@pytest.mark.parametrize("what,status,words", [
    ("permanent", "failed", "no good"), ("retry", "again", "later"), ("other", "again", "Error: oops")])
def test_failures(sdk, what, status, words):
    code, _, err = sdk.run(f"""
        @jobmill.handler
        def t(job):
            raise {{"permanent": jobmill.Permanent("no good"), "retry": jobmill.Retry("later"),
                   "other": ValueError("oops")}}["{what}"]
        jobmill.run()
        """, f"""
        handler(async () => {{
          throw {{ permanent: new Permanent('no good'), retry: new Retry('later'), other: new TypeError('oops') }}.{what};
        }});
        run();
        """, "--attempts", "2")
    assert code == 1 and words in err, err
    assert ("attempt 2 of 2" in err) == (status == "again"), err


def test_what_cannot_be_said_does_no_harm(sdk):
    code, out, err = sdk.run(r"""
        @jobmill.handler
        def t(job):
            job.info("a\0b", x=float("nan"), y=object, z="\ud800")
            job.log("loud", level="shout")
            print("to stdout")
            return {"fine": True}
        jobmill.run()
        """, r"""
        handler((job) => {
          job.info('a\0b', { x: NaN, y: 10n, z: '\ud800' });
          job.log('loud', undefined, 'shout');
          console.log('to stdout');
          return { fine: true };
        });
        run();
        """)
    assert code == 0 and json.loads(out) == {"fine": True}, err
    assert "a�b" in err and "log.level must be" in err and "to stdout" in err, err


@pytest.mark.parametrize("result", ['float("inf")', '{"a": object()}', '"x" * 2000000', '"a\\0b"'])
def test_results_that_are_none(tmp, result):
    for mode in ("once", "loop"):
        code, _, err = Sdk(tmp, "py", mode).run(f"""
            @jobmill.handler
            def t(job): return {result}
            jobmill.run()
            """, "")
        assert code == 1 and "the handler's result" in err and "(permanent)" in err, err


def test_async_and_several_types(tmp):
    sdk = Sdk(tmp, "py", "loop")
    code, out, err = sdk.run("""
        import asyncio, threading
        @jobmill.handler("other")
        def other(job): raise AssertionError
        @jobmill.handler("t")
        async def t(job):
            await asyncio.sleep(0.01)
            worker = threading.Thread(target=lambda: job.info("from a thread"))
            worker.start(); worker.join()
            return 5
        jobmill.run()
        """, "")
    assert code == 0 and out == "5\n" and "from a thread" in err, err
    code, _, err = sdk.run("""
        @jobmill.handler("other")
        def other(job): pass
        jobmill.run()
        """, "")
    assert code == 1 and "has nothing for jobs of type t" in err, err


def test_cancelled_cleans_up(sdk):
    script = sdk.script("""
        @jobmill.handler
        def t(job):
            print("begun", file=sys.stderr, flush=True)
            try:
                while True: time.sleep(0.05)
            except Exception:
                job.error("caught by the wrong clause")
            finally:
                job.info("cleaned up")
        jobmill.run()
        """, """
        handler(async (job) => {
          console.error('begun');
          try {
            await new Promise((resolve, reject) => {
              const timer = setInterval(() => {}, 1000);
              job.signal.addEventListener('abort', () => { clearInterval(timer); reject(job.signal.reason); });
            });
          } finally {
            job.info('cleaned up');
          }
        });
        run();
        """)
    log = sdk.tmp / "log"
    with open(log, "w") as file:
        worker = subprocess.Popen(sdk.command(script), stdout=file, stderr=file)
        wait_until(lambda: "begun" in log.read_text(), 30, what="the handler runs")
        from_s = time.monotonic()
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(30) == 1
    text = log.read_text()
    assert "cleaned up" in text and "wrong clause" not in text and "cancelled" in text, text
    assert time.monotonic() - from_s < 4.5, text  # by itself, before SIGKILL


def test_by_hand(tmp):
    sdk = Sdk(tmp, "py", "once")
    script = sdk.script("""
        @jobmill.handler("t")
        def t(job):
            job.info("hello")
            assert os.path.isdir(job.output_dir)
            os.rmdir(job.output_dir)
            return job.params
        jobmill.run()
        """, "")
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(SDK), "PYTHONDONTWRITEBYTECODE": "1"}

    def by_hand(*args, text=""):
        return subprocess.run([PYTHON, script, *args], input=text, capture_output=True, text=True, env=env, timeout=30,
                              check=False)
    for done in (by_hand('{"n": 1}'), by_hand(text='{"n": 1}')):
        assert done.returncode == 0 and json.loads(done.stdout) == {"n": 1}, done
        assert "not started by jobmill" in done.stderr and '"hello"' in done.stderr
    assert by_hand("[1]").returncode == 2
    js = Sdk(tmp, "mjs", "once").script("", "handler((job) => { job.info('hello'); return job.params; });\nrun();\n")
    done = subprocess.run(["node", js, '{"n": 1}'], capture_output=True, text=True, timeout=30, check=False,
                          env={**env, "JOBMILL_SDK_DIR": str(SDK)})
    assert done.returncode == 0 and json.loads(done.stdout) == {"n": 1} and "not started by jobmill" in done.stderr, done


def test_a_forgotten_run_is_a_failure(sdk):
    code, _, err = sdk.run("""
        @jobmill.handler
        def t(job): pass
        """, "handler(() => {});")
    assert code == 1 and "no job was handled" in err, err
