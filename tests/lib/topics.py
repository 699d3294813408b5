"""Topics and records: made, written and read whole."""
import json
import time

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic


class Topics:
    """What a test does with Kafka itself."""

    def __init__(self, bootstrap):
        self.bootstrap = bootstrap
        self._producer = None
        self._admin = None
        self.made = []

    def admin(self):
        if self._admin is None:
            self._admin = AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 0})
        return self._admin

    def create(self, topic, partitions=4):
        new = NewTopic(topic, partitions, 1, config={"message.timestamp.type": "LogAppendTime"})
        future = self.admin().create_topics([new], operation_timeout=20)[topic]
        try:
            future.result(30)
        except KafkaException as e:
            if e.args[0].name() != "TOPIC_ALREADY_EXISTS":
                raise
        if topic not in self.made:  # the client crashes when it is to delete one twice
            self.made.append(topic)
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            meta = self.admin().list_topics(topic, timeout=5).topics.get(topic)
            if meta and len(meta.partitions) >= partitions:
                return topic
            time.sleep(0.05)
        raise AssertionError(f"topic {topic} has not appeared")

    def delete(self):
        if self.made:
            for done in self.admin().delete_topics(self.made, operation_timeout=5).values():
                done.exception(15)
            self.made = []
        self._admin = self._producer = None  # their sockets and pipes go now, not when they are collected

    def producer(self):
        if self._producer is None:
            self._producer = Producer({
                "bootstrap.servers": self.bootstrap, "acks": "all", "linger.ms": 2,
                "queue.buffering.max.messages": 2000000, "message.max.bytes": 4000000,
                "message.timeout.ms": 60000, "socket.nagle.disable": True, "log_level": 0})
        return self._producer

    def send(self, topic, *messages, key=None, headers=None, partition=None, timeout=60):
        """Writes messages (a dict becomes JSON; str, bytes and None go as they are) and waits for
        the acknowledgements. key: of all, or a list of one each. Returns [(partition, offset, timestamp)]."""
        acks = [None] * len(messages)
        errors = []

        def acknowledged(i):
            def f(error, message):
                if error:
                    errors.append(error)
                else:
                    acks[i] = (message.partition(), message.offset(), message.timestamp()[1])
            return f

        producer = self.producer()
        for i, message in enumerate(messages):
            value = json.dumps(message) if isinstance(message, dict) else message
            args = {"on_delivery": acknowledged(i)}
            if partition is not None:
                args["partition"] = partition
            if headers:
                args["headers"] = headers
            producer.produce(topic, value, key=key[i] if isinstance(key, list) else key, **args)
            if i % 1000 == 0:
                producer.poll(0)
        producer.flush(timeout)
        if errors:
            raise AssertionError(f"Kafka refused: {errors[0]}")
        assert None not in acks, f"{acks.count(None)} records not acknowledged within {timeout} s"
        return acks

    def size(self, topic):
        """How many records were ever written to it."""
        consumer = Consumer({"bootstrap.servers": self.bootstrap, "group.id": "jobmill-test-size",
                             "log_level": 0})
        try:
            meta = consumer.list_topics(topic, timeout=10).topics[topic]
            return sum(consumer.get_watermark_offsets(TopicPartition(topic, p), timeout=10)[1]
                       for p in meta.partitions)
        finally:
            consumer.close()

    def committed(self, group, topic):
        """{partition: committed offset} of a group; -1001 where none."""
        consumer = Consumer({"bootstrap.servers": self.bootstrap, "group.id": group,
                             "log_level": 0})
        try:
            meta = consumer.list_topics(topic, timeout=10).topics[topic]
            got = consumer.committed([TopicPartition(topic, p) for p in meta.partitions],
                                     timeout=10)
            return {tp.partition: tp.offset for tp in got}
        finally:
            consumer.close()

    def rewind(self, group, topic):
        """Sets the group back to the beginning: every record is delivered again. No member may be
        in the group."""
        consumer = Consumer({"bootstrap.servers": self.bootstrap, "group.id": group,
                             "enable.auto.commit": False, "log_level": 0})
        try:
            meta = consumer.list_topics(topic, timeout=10).topics[topic]
            deadline = time.monotonic() + 30
            while True:
                try:
                    consumer.commit(offsets=[TopicPartition(topic, p, 0) for p in meta.partitions],
                                    asynchronous=False)
                    return
                except KafkaException:
                    if time.monotonic() > deadline:
                        raise
                    time.sleep(0.2)
        finally:
            consumer.close()

    def read_all(self, topic, timeout=60):
        return read_all(self.bootstrap, topic, timeout)


class Record:
    """One Kafka record as the checks need it."""

    __slots__ = ("topic", "partition", "offset", "ms", "key", "value", "headers")

    def __init__(self, message):
        self.topic = message.topic()
        self.partition = message.partition()
        self.offset = message.offset()
        self.ms = message.timestamp()[1]
        self.key = message.key()
        self.value = message.value()
        self.headers = {k: v for k, v in (message.headers() or [])}


def read_all(bootstrap, topic, timeout=60):
    """Every record of the topic, from its beginning to its end as of now."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "jobmill-test-reader",
                         "enable.auto.commit": False, "auto.offset.reset": "earliest",
                         "fetch.message.max.bytes": 4000000, "log_level": 0})
    records = []
    try:
        meta = consumer.list_topics(topic, timeout=10).topics[topic]
        if meta.error:
            return records
        left = {}
        for p in meta.partitions:
            low, high = consumer.get_watermark_offsets(TopicPartition(topic, p), timeout=10)
            if high > low:
                left[p] = high
        consumer.assign([TopicPartition(topic, p, 0) for p in left])
        deadline = time.monotonic() + timeout
        while left:
            if time.monotonic() > deadline:
                raise AssertionError(f"{topic} not read whole within {timeout} s")
            for message in consumer.consume(1000, 0.5):
                if message.error():
                    continue
                records.append(Record(message))
                p = message.partition()
                if p in left and message.offset() + 1 >= left[p]:
                    del left[p]
    finally:
        consumer.close()
    return records
