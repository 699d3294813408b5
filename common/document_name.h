/* What names documents may have: the rule that job types, the command line and the API share. */
#ifndef JM_DOCUMENT_NAME_H
#define JM_DOCUMENT_NAME_H

#include <stdbool.h>

#define JM_DOCUMENT_NAME_RULE "a name is [A-Za-z0-9][A-Za-z0-9._-]{0,99}"

bool jm_document_name_ok(const char *name);

#endif
