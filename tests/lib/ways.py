"""The two ways in for people and programs, HTTP and the command line, behind one set of verbs: a checklist is walked
through both."""
import json
import re
import urllib.parse

from lib.api import Api

NOT_FOUND, INVALID, CONFLICT = "not found", "invalid", "conflict"


class Refused(Exception):
    """What a way in refused, as one of the three kinds above, with what it said."""

    def __init__(self, kind, text):
        super().__init__(f"{kind}: {text}")
        self.kind, self.text = kind, text


def query(**filters):
    given = {k: v for k, v in filters.items() if v is not None}
    given = {k: str(v).lower() if isinstance(v, bool) else v for k, v in given.items()}
    return "?" + urllib.parse.urlencode(given) if given else ""


class Http:
    name = "http"
    KINDS = {400: INVALID, 404: NOT_FOUND, 409: CONFLICT}

    def __init__(self, jm, producer):
        self.jm, self.api = jm, Api.of(producer)

    def call(self, method, path, body=None, **headers):
        answer = self.api.call(method, "/api/v1" + path, body, **headers)
        if answer.status in self.KINDS:
            raise Refused(self.KINDS[answer.status], str(answer.json))
        assert answer.status in (200, 201, 204), f"{method} {path} {body}: {answer}"
        if answer.status == 201:
            assert answer.headers["Location"]
        return answer.json

    # Jobs

    def submit(self, type_, **fields):
        return self.call("POST", "/jobs", {"type": type_, **fields})["id"]

    def job(self, job_id):
        return self.call("GET", f"/jobs/{job_id}?include=steps,logs,result,attempts")

    def jobs(self, **filters):
        return self.call("GET", "/jobs" + query(**filters))["items"]

    def search(self, **filters):
        return self.call("GET", "/jobs/search" + query(**filters))["items"]

    def recent(self, limit=None):
        return self.call("GET", "/jobs/recent" + query(limit=limit))["items"]

    def stats(self, **filters):
        return self.call("GET", "/jobs/stats" + query(**filters))

    def logs(self, job_id, **filters):
        return self.call("GET", f"/jobs/{job_id}/logs" + query(**filters))["items"]

    def steps(self, job_id):
        return self.call("GET", f"/jobs/{job_id}/steps")["items"]

    def cancel(self, job_id):
        return self.call("POST", f"/jobs/{job_id}/cancel")

    def retry(self, job_id):
        return self.call("POST", f"/jobs/{job_id}/retry")["id"]

    def delete_job(self, job_id):
        return self.call("DELETE", f"/jobs/{job_id}")

    def update_job(self, job_id, **fields):
        return self.call("PATCH", f"/jobs/{job_id}", fields)

    def cleanup(self, older_than, dry_run=False):
        return self.call("POST", "/cleanup" + query(dry_run=dry_run or None), {"older_than": older_than})

    # Schedules

    def add_schedule(self, name, **fields):
        return self.call("POST", "/schedules", {"name": name, **fields})["id"]

    def schedule(self, name, project=None):
        return self.call("GET", f"/schedules/{name}" + query(project=project))

    def schedules(self, **filters):
        return self.call("GET", "/schedules" + query(**filters))["items"]

    def update_schedule(self, name, **fields):
        return self.call("PUT", f"/schedules/{name}", fields)

    def schedule_do(self, verb, name):
        return self.call("POST", f"/schedules/{name}/{verb}")

    def run_schedule(self, name):
        return self.call("POST", f"/schedules/{name}/run")["id"]

    def delete_schedule(self, name):
        return self.call("DELETE", f"/schedules/{name}")

    def history(self, name, **filters):
        return self.call("GET", f"/schedules/{name}/history" + query(**filters))["items"]

    def schedule_versions(self, name):
        return self.call("GET", f"/schedules/{name}/versions")["items"]

    # The rest

    def add_project(self, name, **fields):
        return self.call("POST", "/projects", {"name": name, **fields})

    def delete_project(self, name):
        return self.call("DELETE", f"/projects/{name}")

    def set_document(self, name, body):
        return self.call("PUT", f"/documents/{name}", {"body": body})

    def document(self, name, version=None):
        return self.call("GET", f"/documents/{name}" + (f"/versions/{version}" if version else ""))

    def document_versions(self, name):
        return self.call("GET", f"/documents/{name}/versions")["items"]

    def types(self):
        return self.call("GET", "/types")["items"]

    def audit(self, **filters):
        return self.call("GET", "/audit" + query(**filters))["items"]

    def acquire(self, name, owner, ttl_s):
        return self.call("POST", f"/locks/{name}/acquire", {"owner": owner, "ttl_s": ttl_s})["token"]

    def extend(self, name, token, ttl_s):
        return self.call("POST", f"/locks/{name}/extend", {"token": token, "ttl_s": ttl_s})

    def release(self, name, token):
        return self.call("POST", f"/locks/{name}/release", {"token": token})


class Cli:
    name = "cli"
    KINDS = {3: NOT_FOUND, 2: INVALID, 1: CONFLICT}

    def __init__(self, jm, _):
        self.jm = jm

    def run(self, *args, stdin=None):
        done = self.jm.cli(*args, check=False, stdin=stdin)
        if done.code:
            raise Refused(self.KINDS[done.code], done.err)
        return done.out

    def json(self, *args):
        return json.loads(self.run(*args, "--json"))

    @staticmethod
    def options(fields):
        given = []
        for name, value in fields.items():
            if value is None or value is False:
                continue
            name = {"cron_expression": "cron", "interval_seconds": "every", "run_at": "at"}.get(name, name)
            option = "--" + name.replace("_", "-")
            if value is True:
                given.append(option)
            elif name == "every":
                given += [option, f"{value}s"]
            else:
                given += [option, json.dumps(value) if isinstance(value, (dict, list)) else str(value)]
        return given

    # Jobs

    def submit(self, type_, **fields):
        run_at = {"run-at": fields.pop("run_at")} if "run_at" in fields else {}
        return self.run("job", "submit", "--type", type_, *self.options({**fields, **run_at})).strip()

    def job(self, job_id):
        job = self.json("job", "show", job_id)
        job["logs"] = self.logs(job_id)
        return job

    def jobs(self, **filters):
        return self.json("job", "list", *self.options(filters))["items"]

    def search(self, **filters):
        return self.json("job", "search", filters.pop("key"), filters.pop("value"), *self.options(filters))["items"]

    def recent(self, limit=None):
        return self.json("job", "recent", *self.options({"limit": limit}))["items"]

    def stats(self, **filters):
        return self.json("job", "stats", *self.options(filters))

    def logs(self, job_id, **filters):
        return self.json("job", "logs", job_id, *self.options(filters))["items"]

    def steps(self, job_id):
        return self.json("job", "steps", job_id)["items"]

    def cancel(self, job_id):
        return self.run("job", "cancel", job_id)

    def retry(self, job_id):
        return self.run("job", "retry", job_id).strip()

    def delete_job(self, job_id):
        return self.run("job", "delete", job_id)

    def update_job(self, job_id, **fields):
        return self.run("job", "update", job_id, *self.options(fields))

    def cleanup(self, older_than, dry_run=False):
        return self.json("cleanup", "--older-than", older_than, *(["--dry-run"] if dry_run else ["--yes"]))

    # Schedules

    def add_schedule(self, name, **fields):
        return self.run("schedule", "add", name, *self.options(fields)).strip()

    def schedule(self, name, project=None):
        return self.json("schedule", "show", name, *self.options({"project": project}))

    def schedules(self, **filters):
        if "enabled" in filters:
            filters["enabled"] = str(filters["enabled"]).lower()
        return self.json("schedule", "list", *self.options(filters))["items"]

    def update_schedule(self, name, **fields):
        return self.run("schedule", "update", name, *self.options(fields))

    def schedule_do(self, verb, name):
        return self.run("schedule", verb, name)

    def run_schedule(self, name):
        return self.run("schedule", "run", name).strip()

    def delete_schedule(self, name):
        return self.run("schedule", "delete", name)

    def history(self, name, **filters):
        return self.json("schedule", "history", name, *self.options(filters))["items"]

    def schedule_versions(self, name):
        return self.json("schedule", "versions", name)["items"]

    # The rest

    def add_project(self, name, **fields):
        return self.run("project", "add", name, *self.options(fields))

    def delete_project(self, name):
        return self.run("project", "delete", name, "--yes")

    def set_document(self, name, body):
        return self.run("document", "set", name, json.dumps(body))

    def document(self, name, version=None):
        return self.json("document", "get", name, *self.options({"version": version}))

    def document_versions(self, name):
        return self.json("document", "history", name)["items"]

    def types(self):
        return self.json("type", "list")["items"]

    def audit(self, **filters):
        return self.json("audit", "list", *self.options(filters))["items"]

    def acquire(self, name, owner, ttl_s):
        out = self.run("lock", "acquire", name, "--owner", owner, "--ttl", f"{ttl_s}s")
        return int(re.search(r"\d+", out).group())

    def extend(self, name, token, ttl_s):
        return self.run("lock", "extend", name, "--token", str(token), "--ttl", f"{ttl_s}s")

    def release(self, name, token):
        return self.run("lock", "release", name, "--token", str(token))


WAYS = (Http, Cli)
