/* clang-format off */
/* The fields of a job message. Generated from schema/job_fields.json by schema/generate.py:
 * do not edit. */
#include "job_fields.h"

const jm_field jm_job_fields[JM_JOB_FIELDS] = {
    [JM_JOB_FIELD_TYPE] =
        {"type", 4, JM_FIELD_NAME, true, true, 1, 100, "T",
         "Which job type is to run"},
    [JM_JOB_FIELD_ID] =
        {"id", 2, JM_FIELD_ID, false, true, 1, 128, "ID",
         "A UUIDv7 is the job's id; any other string is the external id: publishing it twice within 24 h runs one job"},
    [JM_JOB_FIELD_PARAMS] =
        {"params", 6, JM_FIELD_OBJECT, false, true, 0, 0, "JSON",
         "What the job is to work with"},
    [JM_JOB_FIELD_PROFILE] =
        {"profile", 7, JM_FIELD_STRING, false, true, 1, 100, "NAME",
         "A named set of default params of the type"},
    [JM_JOB_FIELD_PROJECT] =
        {"project", 7, JM_FIELD_NAME, false, true, 1, 100, "P",
         "Tenant; it must exist"},
    [JM_JOB_FIELD_PRIORITY] =
        {"priority", 8, JM_FIELD_INTEGER, false, true, 0, 9, "N",
         "Among waiting jobs, higher first"},
    [JM_JOB_FIELD_KEY] =
        {"key", 3, JM_FIELD_STRING, false, true, 1, 200, "K",
         "Ordering key, for types that order; default: the key of the record"},
    [JM_JOB_FIELD_EXCLUSIVE] =
        {"exclusive", 9, JM_FIELD_STRING, false, true, 1, 200, "NAME",
         "At most one job of this name in the project runs at a time, or as many as jobmill lock set allows"},
    [JM_JOB_FIELD_RUN_AT] =
        {"run_at", 6, JM_FIELD_TIME, false, true, 0, 0, "T",
         "Not to be started before"},
    [JM_JOB_FIELD_START_BY] =
        {"start_by", 8, JM_FIELD_TIME, false, true, 0, 0, "T",
         "Expires if not started by then"},
    [JM_JOB_FIELD_TIMEOUT_S] =
        {"timeout_s", 9, JM_FIELD_INTEGER, false, true, 1, 31536000, "S",
         "Seconds an attempt may take, instead of the type's"},
    [JM_JOB_FIELD_MAX_ATTEMPTS] =
        {"max_attempts", 12, JM_FIELD_INTEGER, false, true, 1, 1000, "N",
         "The attempt with this number is the last, instead of the type's"},
    [JM_JOB_FIELD_DEDUP_KEY] =
        {"dedup_key", 9, JM_FIELD_STRING, false, true, 1, 200, "K",
         "A second job with the same project, type and key within 24 h is not run"},
    [JM_JOB_FIELD_METADATA] =
        {"metadata", 8, JM_FIELD_SCALARS, false, true, 1, 200, "JSON",
         "Strings, numbers, booleans and nulls for searching, by names of at most 200 characters"},
    [JM_JOB_FIELD_CALLBACK_URL] =
        {"callback_url", 12, JM_FIELD_URL, false, true, 8, 2000, "URL",
         "Called (http or https) when the job has ended"},
    [JM_JOB_FIELD_DEPENDS_ON] =
        {"depends_on", 10, JM_FIELD_JOBS, false, true, 0, 1000, "JSON",
         "Jobs, as ids or as {\"external_id\": ...}, that must complete before this one runs"},
};
