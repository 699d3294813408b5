"""Requests drawn from the OpenAPI document: right ones, and such with something wrong in them."""
import copy
import json
import random
import re

from lib.openapi import document

# What has broken others: quotes of SQL and shells, escapes, paths, templates, odd letters.
NASTY = ["'", "''; DROP TABLE jobs; --", "\" OR 1=1 --", "$(reboot)", "`id`", "; rm -rf /", "| cat /etc/passwd",
         "../../etc/passwd", "%s%n%d", "${secret:X}", "{{7*7}}", "\\", "\\x00", "<script>alert(1)</script>", "\u202e",
         "\ud83d\ude00", "a\tb", "a\nb", "\u00e9" * 50, "x" * 300, "x" * 5000, "", " ", "null", "-1", "NaN", "*", "%", "_",
         "\u2028", "\ufeff"]
NUMBERS = [0, -1, 1, 2 ** 31 - 1, 2 ** 31, -2 ** 31 - 1, 2 ** 63 - 1, 2 ** 63, -2 ** 63 - 1, 10 ** 30, 1.5, -0.0, 1e308, 1e-308]
OTHERS = [None, True, False, [], {}, [[]], {"a": {}}, [None], "x"]


class Operation:
    def __init__(self, method, path, spec):
        resolve = document().resolve
        self.method, self.path, self.id = method.upper(), path, spec["operationId"]
        self.parameters = document().parameters(path, method)
        content = resolve(spec["requestBody"]).get("content", {}) if "requestBody" in spec else {}
        self.body = next((c.get("schema") for t, c in content.items() if "json" in t), None)

    def __repr__(self):
        return f"{self.method} {self.path}"

    def names(self, where):
        return [p["name"] for p in self.parameters if p["in"] == where]


def operations():
    return [Operation(*found) for found in document().operations()]


class Sampler:
    """Values that schemas of the document allow, as far as this reads schemas."""

    resolve = staticmethod(lambda node: document().resolve(node))

    def sample(self, schema, rng, depth=0):
        schema = self.resolve(schema)
        if "const" in schema:
            return schema["const"]
        if "enum" in schema:
            return rng.choice(schema["enum"])
        for key in ("oneOf", "anyOf"):
            if key in schema:
                return self.sample(rng.choice(schema[key]), rng, depth + 1)
        if "allOf" in schema:
            merged = {}
            for part in schema["allOf"]:
                value = self.sample(part, rng, depth + 1)
                merged = {**merged, **value} if isinstance(value, dict) else value
            return merged
        if "examples" in schema and rng.random() < 0.5:
            return copy.deepcopy(rng.choice(schema["examples"]))
        kind = schema.get("type", "object" if "properties" in schema else "string")
        if isinstance(kind, list):
            kind = rng.choice(kind)
        return getattr(self, "_" + kind)(schema, rng, depth)

    def _object(self, schema, rng, depth):
        needed = schema.get("required", [])
        return {name: self.sample(sub, rng, depth + 1) for name, sub in schema.get("properties", {}).items()
                if name in needed or (depth < 4 and rng.random() < 0.3)}

    def _array(self, schema, rng, depth):
        n = max(schema.get("minItems", 0), rng.choice((0, 1, 1, 2)) if depth < 4 else 0)
        return [self.sample(schema.get("items", {}), rng, depth + 1) for _ in range(n)]

    @staticmethod
    def _integer(schema, rng, _):
        low = int(schema.get("minimum", 0))
        return rng.randint(low, int(min(schema.get("maximum", low + 100), low + 100)))

    def _number(self, schema, rng, depth):
        return self._integer(schema, rng, depth)

    @staticmethod
    def _boolean(_, rng, __):
        return rng.random() < 0.5

    @staticmethod
    def _null(*_):
        return None

    @staticmethod
    def _string(schema, rng, _):
        made = {"date-time": "2999-01-01T00:00:00Z", "uuid": "01a227d5-9622-7422-9fdf-09bd781321ce",
                "uri": "http://127.0.0.1:1/x"}.get(schema.get("format"))
        return made or "f" + "".join(rng.choice("abcdef0123456789") for _ in range(8))


class Fuzz:
    """Requests that go wrong, drawn from the document."""

    def __init__(self, seed, known):
        """known: path parameter → values of objects that are there."""
        self.sampler, self.known = Sampler(), known
        self.rng = random.Random(seed)

    def path(self, operation):
        def fill(match):
            values = self.known.get((operation.path.split("/")[1], match.group(1))) or self.known.get(match.group(1), [])
            if values and self.rng.random() < 0.6:
                return quote(self.rng.choice(values))
            return quote(self.rng.choice(NASTY + ["01a227d5-9622-7422-9fdf-09bd781321ce", "nobody", "0", "-1", "..", "."]))
        return re.sub(r"\{([^}]*)\}", fill, operation.path)

    def query(self, operation):
        parts = []
        for p in operation.parameters:
            if p["in"] != "query" or self.rng.random() < 0.6:
                continue
            value = self.rng.choice((lambda: self.sampler.sample(p.get("schema", {}), self.rng),
                                     lambda: self.rng.choice(NASTY), lambda: self.rng.choice(NUMBERS)))()
            text = f"{quote(p['name'])}={quote(str(value))}"
            parts += [text] * self.rng.choice((1, 1, 1, 1, 2))
        if self.rng.random() < 0.1:
            parts.append(self.rng.choice(("nope=1", "limit=%ff", "limit=%00", "limit", "=", "&", "limit=1%", "a[]=1", "%zz=1")))
        return "?" + "&".join(parts) if parts else ""

    def _break(self, value, depth=0):
        """The value with one thing in it that is wrong."""
        rng = self.rng
        if isinstance(value, dict) and value and rng.random() < 0.85:
            value = dict(value)
            name = rng.choice(list(value))
            action = rng.random()
            if action < 0.15:
                del value[name]
            elif action < 0.25:
                value[rng.choice(NASTY) or "x"] = 1
            elif action < 0.3:
                value[name.upper()] = value.pop(name)
            else:
                value[name] = self._break(value[name], depth + 1)
            return value
        if isinstance(value, list) and value and rng.random() < 0.7:
            value = list(value)
            place = rng.randrange(len(value))
            value[place] = self._break(value[place], depth + 1)
            return value
        if isinstance(value, str) and rng.random() < 0.6:
            return rng.choice(NASTY)
        if isinstance(value, (int, float)) and rng.random() < 0.6:
            return rng.choice(NUMBERS)
        return rng.choice(OTHERS + NUMBERS + NASTY)

    def body(self, operation):
        """(bytes or None, content type or None)"""
        rng = self.rng
        if operation.body is None:
            return (None, None) if rng.random() < 0.8 else (rng.choice((b"{}", b"x", b"[" * 100)), "application/json")
        value = self.sampler.sample(operation.body, rng)
        if rng.random() < 0.8:
            value = self._break(value)
        text = json.dumps(value, ensure_ascii=rng.random() < 0.5).encode("utf-8", "surrogatepass")
        kind = "application/json"
        action = rng.random()
        if action < 0.03:
            text = text[:rng.randrange(len(text) + 1)]
        elif action < 0.05:
            text = text.replace(b'"', rng.choice((b"'", b'"\xff', b'"\\ud800', b'"\\u0000', b'"\x00')), 1)
        elif action < 0.06:
            text = b'{"a":1,"a":2}' if rng.random() < 0.5 else text[:1] + b'"type":"x","type":"y",' + text[1:]
        elif action < 0.07:
            text = rng.choice((b"", b"\xef\xbb\xbf" + text, text + b"}", b"[" * 10000, b'{"a":' * 40 + b"1" + b"}" * 40,
                               b'{"a":' + b"9" * 2000 + b"}", b"nul", b"\x00"))
        elif action < 0.09:
            kind = rng.choice(("text/plain", "application/x-www-form-urlencoded", "application/xml", "", "application/jsonx",
                               "application/json; charset=latin-1", None))
        return text, kind

    def headers(self):
        rng = self.rng
        found = {}
        if rng.random() < 0.1:
            found["If-Match"] = rng.choice(('"1"', "1", "*", '"x"', "W/\"2\"", '""', '"99999999999999999999"'))
        if rng.random() < 0.05:
            found["Idempotency-Key"] = rng.choice(("a", "x" * 300, "", "a b", "\xff"))
        if rng.random() < 0.05:
            found["X-Request-Id"] = rng.choice(("a", "x" * 300, "a b", '"'))
        if rng.random() < 0.05:
            found["X-Reason"] = rng.choice(("because", "\xff", "x" * 3000))
        if rng.random() < 0.03:
            found["Last-Event-ID"] = rng.choice(("1.1", "x", "-1.-1", "0:0", "9" * 40))
        return found


def quote(text):
    return "".join(c if c.isalnum() and c.isascii() or c in "-._~" else
                   "".join(f"%{b:02X}" for b in c.encode("utf-8", "surrogatepass")) for c in text)
