/* What makes one JSON value of another, as a list of changes. */
#ifndef JM_SERVICE_JSON_CHANGES_H
#define JM_SERVICE_JSON_CHANGES_H

#include <jansson.h>

/* A JSON Patch (RFC 6902) of add, remove and replace that makes `is` of `was`, each with the value
 * that was there before as "was": [{"op": "replace", "path": "/a/0", "value": 2, "was": 1}].
 * Elements of lists are compared by their place. The caller drops the reference. */
json_t *jm_json_changes(const json_t *was, const json_t *is);

#endif
