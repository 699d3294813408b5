/* Takes what looks like a secret out of values that people who may read the audit log see. */
#ifndef JM_SERVICE_AUDIT_MASK_H
#define JM_SERVICE_AUDIT_MASK_H

#include <jansson.h>

#define JM_AUDIT_MASKED "[secret]"

/* In place, at any depth: members whose name says that they hold a secret (password, token,
 * authorization, ...), and in URLs the password and parameters of such names. A reference
 * ("${secret:NAME}") is none. NULL is fine. */
void jm_audit_mask(json_t *value);

#endif
