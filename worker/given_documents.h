/* Documents that a person gives to `jobmill run` and `jobmill type test`, in the place of those of
 * a project. */
#ifndef JM_GIVEN_DOCUMENTS_H
#define JM_GIVEN_DOCUMENTS_H

#include <jansson.h>

#include "common/err.h"
#include "worker/job_type.h"

/* Reads the file of "name=file" into the object, of names to texts. Errors: JM_ERR_INVALID (the
 * name, or no JSON in the file), JM_ERR_NOT_FOUND, JM_ERR_IO. */
int jm_given_documents_add(json_t *given, const char *name_and_file, jm_err *err);

/* The object for a job of that type as text, which the caller frees: each from first ({name: body};
 * may be NULL), else from given. NULL when the type names none, or *missing, of the type, is not
 * there. */
char *jm_given_documents_text(const json_t *given, const json_t *first, const jm_job_type *type,
                              const char **missing);

#endif
