"""Holds answers of the API against its description."""
import functools
import json
import re

import jsonschema

from lib.paths import ROOT

METHODS = ("get", "post", "put", "patch", "delete")


class Document:
    def __init__(self, document):
        self.json = document
        self.resolver = jsonschema.RefResolver("", document)
        self.routes = sorted(((path.count("{"), re.compile("/api/v1" + re.sub(r"\{[^}]*\}", "[^/]+", path) + "$"), path)
                              for path in document["paths"]), key=lambda route: route[0])

    def resolve(self, node):
        while "$ref" in node:
            node = self.resolver.resolve(node["$ref"])[1]
        return node

    def operations(self):
        for path, item in self.json["paths"].items():
            for method in METHODS:
                if method in item:
                    yield method, path, item[method]

    def parameters(self, path, method):
        item = self.json["paths"][path]
        return [self.resolve(p) for p in item.get("parameters", []) + item[method].get("parameters", [])]

    def find(self, method, path):
        """The operation of a request, or None."""
        method = "get" if method == "HEAD" else method.lower()
        for _, pattern, template in self.routes:
            if pattern.match(path.split("?")[0]) and method in self.json["paths"][template]:
                return self.json["paths"][template][method]
        return None

    def errors(self, schema, value):
        validator = jsonschema.Draft202012Validator(schema, resolver=self.resolver)
        return [f"{'/'.join(map(str, e.absolute_path))}: {e.message[:300]}" for e in validator.iter_errors(value)]

    def check(self, method, path, answer):
        """What of an answer (lib.api.Answer) the document does not allow; None: nothing."""
        operation = self.find(method, path)
        if not operation:
            return None
        responses = operation["responses"]
        if str(answer.status) not in responses:
            return f"{answer.status} is none of {', '.join(responses)}"
        response = self.resolve(responses[str(answer.status)])
        missing = [h for h in response.get("headers", {}) if h not in answer.headers and h not in ("Link", "Retry-After", "Set-Cookie")]
        if missing:
            return f"the answer has no {', '.join(missing)}"
        content = response.get("content", {})
        kind = answer.headers.get("Content-Type", "").split(";")[0]
        if method == "HEAD" or (not content and not answer.raw):
            return None
        if kind not in content:
            return f"{kind} is none of {', '.join(content)}"
        if answer.json is not None and "schema" in content[kind]:
            return "; ".join(self.errors(content[kind]["schema"], answer.json)) or None
        return None


@functools.cache
def document():
    return Document(json.loads((ROOT / "schema/openapi.v1.json").read_text()))
