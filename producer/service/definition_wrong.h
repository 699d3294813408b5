/* All that is wrong with a definition, member by member. */
#ifndef JM_SERVICE_DEFINITION_WRONG_H
#define JM_SERVICE_DEFINITION_WRONG_H

#include <jansson.h>

#include "producer/service/findings.h"

/* Says the first thing that is wrong, with its member as the field; JM_OK: nothing is. */
typedef int jm_definition_judge(void *ctx, const json_t *definition, jm_err *err);

/* Has a definition judged until nothing else is wrong, each time with something right in the place
 * of what was, and adds what is found: one finding a member. Returns JM_OK when there is none, else
 * the code of the first. */
int jm_definition_find_wrong(const json_t *definition, const jm_place *place,
                             jm_definition_judge *judge, void *ctx, jm_findings *findings);

#endif
