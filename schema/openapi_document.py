"""Merges schema/openapi/*.yaml into the OpenAPI document, and writes docs/api.md from it.

A file has `tags` (one: the noun), `paths` and `components`. What every operation can answer is added here, so that the
files say only what is particular to theirs. `x-include: FILE#/POINTER` in a mapping stands for the members of an object
of another document of ours, before those beside it. `x-scope` of an operation is none, read, submit or admin;
`x-replay: false` says of a POST that its answer is not kept under an Idempotency-Key (producer/http/replay.c).
"""
import json
import pathlib
import sys

import yaml

HERE = pathlib.Path(__file__).resolve().parent
METHODS = ("get", "post", "put", "patch", "delete")
TITLES = {"200": "OK", "201": "Created", "202": "Accepted", "204": "No Content"}
# Errors that need no mention in an operation: status, name in components.
ERRORS = {
    "400": "BadRequest", "401": "Unauthorized", "403": "Forbidden", "404": "NotFound", "405": "MethodNotAllowed",
    "409": "Conflict", "412": "PreconditionFailed", "413": "ContentTooLarge", "414": "UriTooLong",
    "415": "UnsupportedMediaType", "429": "TooManyRequests", "500": "Internal", "503": "Unavailable",
}


class Loader(yaml.SafeLoader):
    """Refuses a key that is there twice, and leaves times as the texts that they are."""

    def construct_mapping(self, node, deep=False):
        seen = set()
        for key, _ in node.value:
            if key.value in seen:
                raise yaml.MarkedYAMLError(problem=f"{key.value} is there twice", problem_mark=key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()}


def at_pointer(document, pointer):
    for part in pointer.split("/")[1:]:
        document = document[part.replace("~1", "/").replace("~0", "~")]
    return document


def resolve_includes(node, documents):
    if isinstance(node, list):
        return [resolve_includes(item, documents) for item in node]
    if not isinstance(node, dict):
        return node
    out = {}
    if "x-include" in node:
        name, _, pointer = node["x-include"].partition("#")
        out.update(at_pointer(documents[name], pointer))
    for key, value in node.items():
        if key == "$omit":
            for name in value:
                del out[name]
        elif key != "x-include":
            out[key] = resolve_includes(value, documents)
    return out


def merge_into(base, part, name):
    for key, value in part.items():
        if key == "tags":
            base["tags"] += value
        elif key == "paths":
            for path, item in value.items():
                if path in base["paths"]:
                    sys.exit(f"{name}: {path} is in another file already")
                base["paths"][path] = item
        elif key == "components":
            for kind, members in value.items():
                for member, what in members.items():
                    if member in base["components"].setdefault(kind, {}):
                        sys.exit(f"{name}: {kind} {member} is in another file already")
                    base["components"][kind][member] = what
        else:
            sys.exit(f"{name}: {key} does not belong here")


def parameters_of(document, item, operation):
    found = item.get("parameters", []) + operation.get("parameters", [])
    return [at_pointer(document, p["$ref"][1:]) if "$ref" in p else p for p in found]


def usual_errors(document, path, item, operation):
    scope = operation["x-scope"]
    parameters = parameters_of(document, item, operation)
    yield "400"
    yield "405"
    yield "414"
    yield "429"
    yield "500"
    yield "503"
    if scope != "none":
        yield "401"
    if scope in ("submit", "admin"):
        yield "403"
    if "{" in path or any(p["name"] == "project" for p in parameters):
        yield "404"
    if any(p["name"] == "If-Match" for p in parameters):
        yield "412"
    if "requestBody" in operation:
        yield "413"
        yield "415"


def complete_operation(document, path, item, operation, tag):
    operation.setdefault("tags", [tag])
    if operation is item.get("post") and operation["x-scope"] in ("submit", "admin") and operation.get("x-replay", True):
        operation.setdefault("parameters", []).append({"$ref": "#/components/parameters/IdempotencyKey"})
        operation["responses"].setdefault("409", {"$ref": f"#/components/responses/{ERRORS['409']}"})
    if operation["x-scope"] == "none":
        operation["security"] = []
    responses = operation["responses"]
    for status in usual_errors(document, path, item, operation):
        responses.setdefault(status, {"$ref": f"#/components/responses/{ERRORS[status]}"})
    operation["responses"] = {status: responses[status] for status in sorted(responses)}
    for status, response in responses.items():
        if "$ref" not in response:
            response.setdefault("description", TITLES.get(status, ""))
            response.setdefault("headers", {})["X-Request-Id"] = {"$ref": "#/components/headers/XRequestId"}


def complete(document, tags):
    for response in document["components"]["responses"].values():
        response.setdefault("headers", {})["X-Request-Id"] = {"$ref": "#/components/headers/XRequestId"}
    for path, item in document["paths"].items():
        for method in METHODS:
            if method not in item:
                continue
            if "x-scope" not in item[method] or "operationId" not in item[method]:
                sys.exit(f"{method} {path}: x-scope and operationId are needed")
            complete_operation(document, path, item, item[method], tags[path])


def merged(documents):
    """documents: what x-include may name."""
    base, tags = None, {}
    names = sorted((HERE / "openapi").glob("*.yaml"), key=lambda path: (path.name != "base.yaml", path.name))
    for name in names:
        part = resolve_includes(yaml.load(name.read_text(), Loader), documents)
        if base is None:
            base = part
            continue
        merge_into(base, part, name.name)
        tags.update((path, part["tags"][0]["name"]) for path in part.get("paths", {}))
    complete(base, tags)
    base["paths"] = dict(sorted(base["paths"].items()))
    for members in base["components"].values():
        for name in sorted(members):
            members[name] = members.pop(name)
    return base


def to_json(document):
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


# ---- docs/api.md ----

def resolve(document, schema):
    while "$ref" in schema:
        schema = {**at_pointer(document, schema["$ref"][1:]), **{k: v for k, v in schema.items() if k != "$ref"}}
    return schema


def ref_name(schema):
    return schema["$ref"].rsplit("/", 1)[-1] if "$ref" in schema else None


def one_line(text):
    return " ".join(str(text).split()).replace("|", "\\|")


def kind_of(document, schema):
    """The type of a schema in a few words."""
    name = ref_name(schema)
    if name:
        return f"[{name}](#{name.lower()})" if is_listed(document, name) else kind_of(document, resolve(document, schema))
    for word in ("oneOf", "anyOf"):
        if word in schema:
            return " or ".join(dict.fromkeys(kind_of(document, s) for s in schema[word]))
    kind = schema.get("type", "any")
    if kind == "array":
        return "list of " + kind_of(document, schema.get("items", {}))
    if "enum" in schema:
        return ", ".join("null" if v is None else f"`{v}`" for v in schema["enum"])
    if "const" in schema:
        return f"`{schema['const']}`"
    words = kind if isinstance(kind, list) else [kind]
    text = " or ".join(words)
    if schema.get("format") == "date-time":
        text = text.replace("string", "time")
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is not None and high is not None:
        text += f" {low}–{high}"
    elif low is not None:
        text += f" from {low}"
    if "maxLength" in schema:
        text += f" of at most {schema['maxLength']} characters"
    if "default" in schema and schema["default"] is not None:
        text += f"; default `{json.dumps(schema['default'], ensure_ascii=False)}`"
    return text


def is_listed(document, name):
    """Whether a schema has a table of its own: an object with members."""
    return "properties" in flat(document, document["components"]["schemas"][name])


def flat(document, schema):
    """A schema with the members of its allOf."""
    schema = resolve(document, schema)
    out = {key: value for key, value in schema.items() if key != "allOf"}
    for part in schema.get("allOf", []):
        part = flat(document, part)
        out["properties"] = {**part.get("properties", {}), **out.get("properties", {})}
        out["required"] = list(dict.fromkeys(part.get("required", []) + out.get("required", [])))
    return out


def members_table(document, schema):
    required = schema.get("required", [])
    rows = ""
    for name, member in schema["properties"].items():
        help_text = resolve(document, member).get("description", "")
        mark = "; **required**" if name in required else ""
        rows += f"| `{name}` | {one_line(kind_of(document, member))}{mark} | {one_line(help_text)} |\n"
    return "| member | | |\n|---|---|---|\n" + rows + "\n"


def example_of(media):
    if "example" in media:
        return media["example"]
    for example in media.get("examples", {}).values():
        return example["value"]
    return None


def curl_of(path, method, operation, parameters):
    body = operation.get("requestBody", {}).get("content", {})
    url = path
    for p in parameters:
        if p["in"] == "path":
            url = url.replace("{" + p["name"] + "}", str(p.get("example", p["name"].upper())))
    words = ["curl"] + ([f"-X {method.upper()}"] if method != "get" and not (method == "post" and body) else [])
    if operation["x-scope"] != "none":
        words.append('-H "X-API-Key: $KEY"')
    for kind, media in body.items():
        if example_of(media) is not None:
            words.append(f"-H 'Content-Type: {kind}'")
            text = example_of(media)
            text = text if isinstance(text, str) else json.dumps(text, ensure_ascii=False)
            words.append("--data-binary '" + text.replace("\r", "").replace("'", "'\\''") + "'")
        break
    return " ".join(words + [f"$URL/api/v1{url}"])


def body_text(document, media):
    schema = media.get("schema", {})
    name = ref_name(schema)
    if name:
        return kind_of(document, schema) + "\n\n"
    schema = flat(document, schema)
    if "properties" in schema:
        return "an object\n\n" + members_table(document, schema)
    return kind_of(document, schema) + "\n\n"


def answers_text(document, operation):
    lines, usual = "", []
    for status, response in operation["responses"].items():
        if status in ERRORS and ref_name(response) == ERRORS[status]:
            usual.append(status)
            continue
        response = resolve(document, response)
        content = response.get("content", {})
        kinds = ", ".join(
            kind_of(document, media["schema"]) if kind == "application/json" and "schema" in media else f"`{kind}`"
            for kind, media in content.items())
        headers = ", ".join(f"`{h}`" for h in response.get("headers", {}) if h != "X-Request-Id")
        lines += f"- **{status}** {one_line(response['description'])}" + (f": {kinds}" if kinds else "")
        lines += (f"; with {headers}" if headers else "") + "\n"
    return lines + f"- errors: {', '.join(usual)}\n\n"


def operation_markdown(document, path, method, item, operation):
    parameters = parameters_of(document, item, operation)
    out = f"### {method.upper()} {path}\n\n{operation['summary']}."
    if operation["x-scope"] != "none":
        out += f" Scope `{operation['x-scope']}`."
    else:
        out += " Needs no key."
    out += "\n\n"
    if operation.get("description"):
        out += operation["description"].strip() + "\n\n"
    if parameters:
        out += "| parameter | | |\n|---|---|---|\n"
        for p in parameters:
            mark = "; **required**" if p.get("required") and p["in"] != "path" else ""
            out += (f"| `{p['name']}` ({p['in']}) | {one_line(kind_of(document, p['schema']))}{mark} | "
                    f"{one_line(p.get('description', ''))} |\n")
        out += "\n"
    for kind, media in operation.get("requestBody", {}).get("content", {}).items():
        out += f"Body (`{kind}`): {body_text(document, media)}"
    out += answers_text(document, operation)
    return out + f"```sh\n{curl_of(path, method, operation, parameters)}\n```\n\n"


def errors_markdown(document):
    out = "| status | |\n|---|---|\n"
    for status, name in ERRORS.items():
        out += f"| {status} | {one_line(document['components']['responses'][name]['description'])} |\n"
    return out + "\n"


def schemas_markdown(document):
    out = ""
    for name, schema in document["components"]["schemas"].items():
        schema = flat(document, schema)
        if "properties" in schema:
            out += f"### {name}\n\n"
            if schema.get("description"):
                out += schema["description"].strip() + ".\n\n"
            out += members_table(document, schema)
    return out


def to_markdown(document):
    out = "# HTTP API\n\n<!-- Generated from schema/openapi/ by schema/generate.py: do not edit. -->\n\n"
    out += document["info"]["description"].strip() + "\n\n"
    out += ("The document itself is at `/api/v1/openapi.json` (in the repository "
            "[schema/openapi.v1.json](../schema/openapi.v1.json)), and to be browsed and tried at `/docs`; neither needs a "
            "key. Paths below are to be read behind `/api/v1`.\n\n## Errors\n\n")
    out += errors_markdown(document)
    for tag in document["tags"]:
        out += f"## {tag['name'].capitalize()}\n\n"
        if tag.get("description"):
            out += tag["description"].strip() + "\n\n"
        for path, item in document["paths"].items():
            for method in METHODS:
                if method in item and item[method]["tags"][0] == tag["name"]:
                    out += operation_markdown(document, path, method, item, item[method])
    return out + "## Objects\n\n" + schemas_markdown(document).rstrip() + "\n"
