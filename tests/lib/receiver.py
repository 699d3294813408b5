"""A small HTTP server that keeps what it is sent and answers as it is told."""
import http.server
import json
import threading


class Receiver:
    """answers: status codes for the requests to come, by path; the last one stays."""

    def __init__(self, **answers):
        self.requests = []
        self.answers = {f"/{path}": list(codes) for path, codes in answers.items()}
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                receiver.requests.append({"path": self.path, "headers": dict(self.headers), "body": body})
                codes = receiver.answers.get(self.path, [200])
                code = codes.pop(0) if len(codes) > 1 else codes[0]
                self.send_response(code)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

            def log_message(self, *args):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    def url(self, path="ok"):
        return f"http://127.0.0.1:{self.server.server_port}/{path}"

    def of(self, job_id):
        """Bodies that report this job, in the order in which they came."""
        bodies = [json.loads(r["body"]) for r in list(self.requests)]
        return [b for b in bodies if b["id"] == str(job_id)]

    def close(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()
