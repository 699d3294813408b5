-- Least-privilege roles for a database that jobmill has migrated. Run it as the owner of the schema with the
-- right to make roles, again after each migration; it can be repeated.
--
--   psql -d jobmill -f schema/roles.sql
--   psql -d jobmill -v schema=jobs -v worker=acme_worker -f schema/roles.sql
--
-- It makes four roles that cannot log in and own nothing; grant them to those that do:
--
--   producer   scheduler, relay, janitor, API, command line: reads and writes every row, but adds to the audit
--              log only; changes no table. What
--              only the owner can do is left to the owner: migrations (auto_migrate=false) and dropping what
--              retention has expired.
--   worker     accepts, runs and records jobs; cannot delete them, nor touch schedules and projects.
--   submitter  may call submit(), and nothing else: applications that submit by SQL.
--   reader     reads everything but the hashes of keys and kept answers, writes nothing: dashboards and reports.
--
--   CREATE ROLE worker_1 LOGIN PASSWORD '…' IN ROLE jobmill_worker;

\set ON_ERROR_STOP on
\if :{?schema} \else \set schema jobmill \endif
\if :{?producer} \else \set producer jobmill_producer \endif
\if :{?worker} \else \set worker jobmill_worker \endif
\if :{?submitter} \else \set submitter jobmill_submitter \endif
\if :{?reader} \else \set reader jobmill_reader \endif

BEGIN;
SET LOCAL search_path = :"schema";
SET LOCAL client_min_messages = warning;

SELECT format('CREATE ROLE %I NOLOGIN', name)
FROM unnest(ARRAY[:'producer', :'worker', :'submitter', :'reader']) AS name
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name)
\gexec

-- What an earlier version of this script gave and this one does not, goes.
REVOKE ALL ON ALL TABLES IN SCHEMA :"schema" FROM :"producer", :"worker", :"submitter", :"reader";
REVOKE ALL ON ALL SEQUENCES IN SCHEMA :"schema" FROM :"producer", :"worker", :"submitter", :"reader";
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA :"schema" FROM :"producer", :"worker", :"submitter", :"reader";
REVOKE ALL ON SCHEMA :"schema" FROM PUBLIC, :"producer", :"worker", :"submitter", :"reader";
GRANT USAGE ON SCHEMA :"schema" TO :"producer", :"worker", :"submitter", :"reader";

GRANT SELECT ON ALL TABLES IN SCHEMA :"schema" TO :"producer", :"reader";
GRANT INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA :"schema" TO :"producer";
REVOKE INSERT, UPDATE, DELETE ON schema_migrations FROM :"producer";
REVOKE UPDATE, DELETE ON audit_log FROM :"producer";
-- Hashes of keys are for who checks keys, kept answers for who asked.
REVOKE SELECT ON api_keys, request_replays FROM :"reader";
GRANT SELECT (id, name, prefix, scope, project, parent_id, expires_at, last_used_at, revoked_at, created_at, created_by)
    ON api_keys TO :"reader";
GRANT EXECUTE ON FUNCTION submit, submit_as, partition_ensure, job_end_pending, job_cancel, job_retry,
    job_call, job_depend, dependencies_settle, submit_set, idempotency_claim TO :"producer";
GRANT USAGE ON SEQUENCE lock_tokens TO :"producer", :"worker";

GRANT SELECT ON schema_migrations, projects, retention, documents TO :"worker";
GRANT SELECT, INSERT, UPDATE ON jobs, job_steps, job_logs, job_attempts, job_metadata, job_types, workers
    TO :"worker";
GRANT SELECT, INSERT, UPDATE, DELETE ON pending_jobs, claims, dedup_keys, locks TO :"worker";
GRANT SELECT, INSERT ON job_stats, dead_letters TO :"worker";
GRANT EXECUTE ON FUNCTION partition_ensure, job_call, job_depend, dependencies_settle TO :"worker";
GRANT SELECT ON job_dependencies TO :"worker";

GRANT EXECUTE ON FUNCTION submit TO :"submitter";
COMMIT;
