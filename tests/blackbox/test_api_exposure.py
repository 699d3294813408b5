"""What the API is to those who are not on this machine: TLS, and what is refused or warned about without."""
import http.client
import json
import re
import ssl
import subprocess

import pytest

from lib.wait import wait_until

BEYOND = {"http.listen": "0.0.0.0:0"}
WARNING = "listens beyond this machine without TLS"


@pytest.fixture
def certificate(tmp_path):
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                    "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", cert],
                   check=True, capture_output=True)
    return cert, key


def listening(producer):
    producer.wait_log("ready: listening on")
    return int(re.search(r"ready: listening on \S+?:(\d+);", producer.text()).group(1))


def test_https(jm, certificate):
    cert, key = certificate
    producer = jm.start_producer(**BEYOND, **{"http.tls_cert_file": cert, "http.tls_key_file": key})
    port = listening(producer)
    made = jm.cli("key", "create", "--name", "k", "--scope", "submit").out.strip()
    connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=30,
                                             context=ssl.create_default_context(cafile=cert))
    connection.request("POST", "/api/v1/jobs", json.dumps({"type": "noop"}),
                       {"X-API-Key": made, "Content-Type": "application/json"})
    answer = connection.getresponse()
    assert answer.status == 201 and json.load(answer)["type"] == "noop"
    connection.request("GET", "/healthz")
    assert connection.getresponse().status == 200
    connection.close()
    with pytest.raises(ssl.SSLCertVerificationError):  # by default nobody trusts it
        http.client.HTTPSConnection("127.0.0.1", port, timeout=30).request("GET", "/healthz")
    plain = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    with pytest.raises((OSError, http.client.HTTPException)):
        plain.request("GET", "/healthz")
        plain.getresponse()
    assert WARNING not in producer.text()


@pytest.mark.parametrize("at_fault", ["http.tls_cert_file", "http.tls_key_file"])
def test_a_file_that_is_not_there_is_named(jm, certificate, at_fault):
    files = {"http.tls_cert_file": certificate[0], "http.tls_key_file": certificate[1], at_fault: "/nowhere/x.pem"}
    producer = jm.start_producer(wait=False, **files)
    wait_until(lambda: f"{at_fault}: cannot read /nowhere/x.pem" in producer.text(), 30, what="the key is named")


def test_without_tls_is_warned_about(jm):
    producer = jm.start_producer(**BEYOND)
    assert WARNING in producer.text()
    producer = jm.start_producer(**BEYOND, **{"http.behind_proxy": "true"})
    assert WARNING not in producer.text()
    assert WARNING not in jm.start_producer().text()


def test_open_to_anybody_is_refused(jm):
    producer = jm.start_producer(**BEYOND, **{"http.auth": "off"})
    assert "http.auth is off, which is allowed on a loopback address only" in producer.text()
    connection = http.client.HTTPConnection("127.0.0.1", listening(producer), timeout=30)
    connection.request("GET", "/api/v1/jobs")
    assert connection.getresponse().status == 404  # health and metrics are all that it serves
