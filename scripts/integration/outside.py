"""The outside servers that the environment names, and how they are made fresh for a run."""

import dataclasses
import os
import time

import redis
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

PREFIX = "PENCHANT_TEST_"


@dataclasses.dataclass(frozen=True)
class Servers:
    kafka_brokers: str
    redis_url: str
    s3_endpoint: str
    s3_access_key: str
    s3_secret_key: str
    kafka_replicas: int

    def settings(self, bucket):
        """The settings with which Penchant uses these servers."""
        return {
            "PENCHANT_KAFKA_BROKERS": self.kafka_brokers, "PENCHANT_REDIS_URL": self.redis_url,
            "PENCHANT_S3_ENDPOINT": self.s3_endpoint, "PENCHANT_S3_ACCESS_KEY": self.s3_access_key,
            "PENCHANT_S3_SECRET_KEY": self.s3_secret_key, "PENCHANT_BUCKET": bucket,
            "PENCHANT_ACCESS_KEYS": f"{self.s3_access_key}:{self.s3_secret_key}",
            "PENCHANT_TOPIC_REPLICATION_FACTOR": str(self.kafka_replicas),
            "PENCHANT_TOPIC_MIN_INSYNC_REPLICAS": str(max(1, self.kafka_replicas - 1)),
        }

    def make_fresh(self):
        """Takes away what an earlier run left: topics and consumer groups have fixed names on a cluster."""
        redis.Redis.from_url(self.redis_url).flushdb()
        admin = AdminClient({"bootstrap.servers": self.kafka_brokers})
        if topics := penchant_topics(admin):
            for deleted in admin.delete_topics(topics, operation_timeout=30).values():
                deleted.result()
        groups = [group.group_id for group in admin.list_consumer_groups().result().valid if group.group_id.startswith("penchant")]
        for group, deleted in (admin.delete_consumer_groups(groups) if groups else {}).items():
            try:
                deleted.result()
            except KafkaException as failure:
                raise RuntimeError(f"consumer group {group} is still in use: does an earlier run go on?") from failure
        deadline = time.monotonic() + 30
        while left := penchant_topics(admin):
            if time.monotonic() > deadline:
                raise TimeoutError(f"topics that were deleted are still there: {left}")
            time.sleep(0.1)


def penchant_topics(admin):
    return [topic for topic in admin.list_topics(timeout=30).topics if topic.startswith("penchant.")]


def from_environment():
    """Returns the servers that the environment names, or None where it names none."""
    names = ("KAFKA_BROKERS", "REDIS_URL", "S3_ENDPOINT", "S3_ACCESS_KEY", "S3_SECRET_KEY")
    values = {name: os.environ.get(PREFIX + name, "") for name in names}
    if not any(values.values()):
        return None
    if missing := [PREFIX + name for name, value in values.items() if not value]:
        raise RuntimeError(f"some outside servers are set and some are not; missing: {', '.join(missing)}")
    return Servers(
        kafka_replicas=int(os.environ.get(PREFIX + "KAFKA_REPLICAS", "1")),
        **{name.lower(): value for name, value in values.items()})
