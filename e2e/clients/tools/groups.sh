#!/usr/bin/env bash
# groups.sh BOOTSTRAP PEER: what those of Kafka's programs expect of Kafka that read in a consumer group.
set -uo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
t=$run-groups
echo "# Kafka's tools $KAFKA_VERSION, in groups, against $peer"

tool $TOOLS.TopicCommand "${at[@]}" --create --topic "$t" --partitions 2 </dev/null
prints "producer perf: fills the topic" '^5000 records sent' -- \
    $TOOLS.ProducerPerformance "${at[@]}" --topic "$t" --num-records 5000 --record-size 200 --throughput -1
prints "consumer perf: reads them all" '^start.time, end.time, data.consumed.in.MB, MB.sec' '^[-0-9: ,.]+, 5000, ' -- \
    $TOOLS.ConsumerPerformance "${at[@]}" --topic "$t" --num-records 5000 --timeout 60000
prints "console consumer: reads from the beginning, in a group" 'Processed a total of 5000 messages' -- \
    $TOOLS.consumer.ConsoleConsumer "${at[@]}" --topic "$t" --from-beginning --max-messages 5000 --timeout-ms 60000 --group "$run-group"
groups=($TOOLS.consumer.group.ConsumerGroupCommand "${at[@]}")
prints "consumer groups: lists the group" "^$run-group$" -- "${groups[@]}" --list
prints "consumer groups: describes what the group has read" "^$run-group +$t +[01] +[0-9]+ +[0-9]+ +0 " -- "${groups[@]}" --describe --group "$run-group"
finish
