-- min_program_version: 0.1.0
-- Events about schedules: each change of one is told on the topic of events, by whichever producer finds it here.

SELECT set_config('search_path', current_setting('search_path') || ', pg_temp', true);

CREATE TABLE unannounced_changes (
    id uuid PRIMARY KEY
);
COMMENT ON TABLE unannounced_changes IS 'Changes of schedules of which the event is still to be published';
COMMENT ON COLUMN unannounced_changes.id IS 'The row of audit_log';

-- Whoever may write to the audit log may have it told.
CREATE FUNCTION audit_announce() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    INSERT INTO unannounced_changes (id) VALUES (NEW.id);
    RETURN NULL;
END;
$$;
COMMENT ON FUNCTION audit_announce IS 'Has a change told by an event';
CREATE TRIGGER audit_announce AFTER INSERT ON audit_log
    FOR EACH ROW WHEN (NEW.object = 'schedule' AND NEW.version IS NOT NULL) EXECUTE FUNCTION audit_announce();
