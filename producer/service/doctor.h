/* Looks for what is wrong with database, broker, machine and work, and says how to mend it. */
#ifndef JM_SERVICE_DOCTOR_H
#define JM_SERVICE_DOCTOR_H

#include <jansson.h>
#include <stdbool.h>

#include "common/config.h"

/* One finding after the other: {"check", "state" (ok, warning, wrong), "message", "mend" (null when
 * ok)}. A warning does no harm yet. *wrong says whether there is one that does. Blocks up to about
 * 20 s when something cannot be reached. Never fails: what goes wrong is a finding. */
json_t *jm_doctor_look(const jm_config *config, bool *wrong);

#endif
