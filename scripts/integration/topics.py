"""Reads Penchant's topics for the tests' own checks."""

from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition


def interactions(penchant, messages, group_name):
    """Returns all interactions of the dataset group with that name that are in Kafka now."""
    consumer = Consumer({"bootstrap.servers": penchant.endpoints["kafka"], "group.id": "not-used", "enable.auto.commit": False})
    try:
        [topic] = [topic for name, topic in consumer.list_topics(timeout=30).topics.items()
                   if name.startswith(f"penchant.{group_name}-") and name.endswith(".interactions")]
        found = []
        for partition in topic.partitions:
            place = TopicPartition(topic.topic, partition, OFFSET_BEGINNING)
            _, end = consumer.get_watermark_offsets(place, timeout=30)
            if end == 0:
                continue
            consumer.assign([place])
            while (record := consumer.poll(30)) is not None:
                assert record.error() is None, record.error()
                found.append(messages.Interaction.FromString(record.value()))
                if record.offset() == end - 1:
                    break
        return found
    finally:
        consumer.close()
