-- Queues that the database knows of: those of workers and of schedules. $1 prefix of topics.
-- Result: each as JSON, by name, as the topic is called; what only Kafka knows is null.
SELECT json_build_object('topic', $1::text || '.jobs.' || q.queue, 'queue', q.queue, 'partitions', NULL, 'replication', NULL)
  FROM (SELECT unnest(w.queues) AS queue FROM workers w UNION SELECT s.queue FROM schedules s) q
 ORDER BY q.queue
