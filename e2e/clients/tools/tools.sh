#!/usr/bin/env bash
# tools.sh BOOTSTRAP PEER: what Kafka's own command line programs, from Maven, expect of Kafka. None of these needs a consumer group.
set -uo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
t=$run-a
echo "# Kafka's tools $KAFKA_VERSION against $peer"

topics=($TOOLS.TopicCommand "${at[@]}")
prints "topics: creates a topic and says so" "^Created topic $t\.$" -- "${topics[@]}" --create --topic "$t" --partitions 2 --replication-factor 1 --config retention.ms=99000
refuses "topics: a topic that exists is refused" "Topic '$t' already exists" "${topics[@]}" --create --topic "$t"
prints "topics: --if-not-exists passes over one that exists" -- "${topics[@]}" --create --if-not-exists --topic "$t"
refuses "topics: a bad name is refused" 'InvalidTopicException' "${topics[@]}" --create --topic 'bad name'
refuses "topics: too many replicas are refused" 'InvalidReplicationFactorException' "${topics[@]}" --create --topic "$run-rf" --replication-factor 5
refuses "topics: a bad setting is refused" 'InvalidConfigurationException|Invalid value' "${topics[@]}" --create --topic "$run-cfg" --config retention.ms=soon
prints "topics: lists the topic" "^$t$" -- "${topics[@]}" --list
tab=$'\t'
prints "topics: describes the topic and each partition" \
    "^Topic: $t${tab}TopicId: [A-Za-z0-9_-]{22}${tab}PartitionCount: 2${tab}ReplicationFactor: 1${tab}Configs: .*retention.ms=99000" \
    "^${tab}Topic: $t${tab}Partition: 0${tab}Leader: [0-9]+${tab}Replicas: [0-9]+${tab}Isr: [0-9]+" \
    "^${tab}Topic: $t${tab}Partition: 1${tab}Leader: [0-9]+" -- "${topics[@]}" --describe --topic "$t"
refuses "topics: describing an unknown topic is refused" "Topic '$run-none' does not exist" "${topics[@]}" --describe --topic "$run-none"
prints "topics: adds partitions" -- "${topics[@]}" --alter --topic "$t" --partitions 3
refuses "topics: takes no partitions away" 'InvalidPartitionsException|would not be an increase|currently has' "${topics[@]}" --alter --topic "$t" --partitions 1
prints "topics: finds no partition without a leader" -- "${topics[@]}" --describe --unavailable-partitions --topic "$t"

seq 1 200 | sed 's/.*/key&:value&/' >"$scratch/lines"
c=$run-console
tool $TOOLS.TopicCommand "${at[@]}" --create --topic "$c" </dev/null
for compression in none gzip snappy lz4 zstd; do
    tool $TOOLS.ConsoleProducer "${at[@]}" --topic "$c" --compression-codec "$compression" --reader-property parse.key=true \
        --reader-property key.separator=: <"$scratch/lines"
    ((code == 0))
    judge "console producer: sends lines with keys, $compression"
done
tool $TOOLS.consumer.ConsoleConsumer "${at[@]}" --topic "$c" --partition 0 --offset earliest --max-messages 1000 --timeout-ms 60000 \
    --formatter-property print.key=true --formatter-property key.separator=: </dev/null
out=$(grep -v '^Processed a total of' <<<"$out")
equals "console consumer: prints all of them in order" "$(for _ in 1 2 3 4 5; do cat "$scratch/lines"; done)"
prints "console consumer: from an offset, with offset, partition, timestamp and headers" \
    'CreateTime:[0-9]+.Partition:0.Offset:500.NO_HEADERS.value101$' 'Processed a total of 1 messages' -- \
    $TOOLS.consumer.ConsoleConsumer "${at[@]}" --topic "$c" --partition 0 --offset 500 --max-messages 1 --timeout-ms 60000 \
    --formatter-property print.timestamp=true --formatter-property print.partition=true --formatter-property print.offset=true \
    --formatter-property print.headers=true
tool $TOOLS.ConsoleProducer "${at[@]}" --topic "$run-sprung" --sync <<<'sprung up'
tool $TOOLS.consumer.ConsoleConsumer "${at[@]}" --topic "$run-sprung" --partition 0 --offset earliest --max-messages 1 --timeout-ms 60000 </dev/null
grep -qx 'sprung up' <<<"$out"
judge "console producer: a topic that does not exist is created"

prints "producer perf: sends what it is told" '^5000 records sent, .* records/sec .* ms avg latency.* ms 99th' -- \
    $TOOLS.ProducerPerformance "${at[@]}" --topic "$t" --num-records 5000 --record-size 200 --throughput -1
prints "end-to-end latency: measures each record" '^Avg latency: ' '^Percentiles: ' -- \
    $TOOLS.EndToEndLatency "${at[@]}" --topic "$run-latency" --num-records 50 --producer-acks all --record-size 100

offsets=($TOOLS.GetOffsetShell "${at[@]}" --topic "$c")
prints "get-offsets: the end by default" "^$c:0:1000$" -- "${offsets[@]}"
prints "get-offsets: the beginning" "^$c:0:0$" -- "${offsets[@]}" --time earliest
prints "get-offsets: the greatest timestamp" "^$c:0:[0-9]+$" -- "${offsets[@]}" --time max-timestamp
prints "get-offsets: by time" "^$c:0:0$" -- "${offsets[@]}" --time 1000
prints "get-offsets: earliest-local" "^$c:0:0$" -- "${offsets[@]}" --time earliest-local

printf '{"partitions": [{"topic": "%s", "partition": 0, "offset": 600}], "version": 1}\n' "$c" >"$scratch/delete.json"
prints "delete-records: tells the new beginning" "^partition: $c-0${tab}low_watermark: 600$" -- \
    $TOOLS.DeleteRecordsCommand "${at[@]}" --offset-json-file "$scratch/delete.json"
prints "get-offsets: the beginning has moved" "^$c:0:600$" -- "${offsets[@]}" --time earliest
printf '{"partitions": [{"topic": "%s", "partition": 0, "offset": 5000}], "version": 1}\n' "$c" >"$scratch/delete.json"
prints "delete-records: beyond the end is refused" "partition: $c-0${tab}error: .*OffsetOutOfRangeException" -- \
    $TOOLS.DeleteRecordsCommand "${at[@]}" --offset-json-file "$scratch/delete.json"

configs=(kafka.admin.ConfigCommand "${at[@]}" --entity-type topics --entity-name "$t")
prints "configs: sets a topic's settings" "^Completed updating config for topic $t\.$" -- "${configs[@]}" --alter --add-config retention.ms=77000,max.message.bytes=5000
prints "configs: describes what was set" "^Dynamic configs for topic $t are:" 'retention.ms=77000 sensitive=false synonyms=\{DYNAMIC_TOPIC_CONFIG:retention.ms=77000' \
    'max.message.bytes=5000' -- "${configs[@]}" --describe
prints "configs: describes all, with defaults" 'cleanup.policy=delete sensitive=false synonyms=\{DEFAULT_CONFIG' 'compression.type=producer' -- "${configs[@]}" --describe --all
prints "configs: deletes a setting" "^Completed updating config for topic $t\.$" -- "${configs[@]}" --alter --delete-config retention.ms
refuses "configs: a bad value is refused" 'Invalid value soon' "${configs[@]}" --alter --add-config retention.ms=soon
refuses "configs: an unknown setting is refused" 'InvalidConfigurationException|Unknown topic config' "${configs[@]}" --alter --add-config no.such=1
node=$(timeout 60 bash -c '. "$0"; kafka_tool "$@"' "$PEERS_HOME/peers.sh" "${topics[@]}" --describe --topic "$t" </dev/null | sed -n 's/.*Partition: 0.*Leader: \([0-9]*\).*/\1/p')
prints "configs: describes the broker" "^All configs for broker $node are:" 'message.max.bytes=1048588' 'num.partitions=1' -- \
    kafka.admin.ConfigCommand "${at[@]}" --entity-type brokers --entity-name "$node" --describe --all

prints "log-dirs: describes a topic's partitions" "\"partition\":\"$c-0\",\"size\":[1-9][0-9]*,\"offsetLag\":0,\"isFuture\":false" -- \
    $TOOLS.LogDirsCommand "${at[@]}" --describe --topic-list "$c"
prints "cluster: prints the cluster id" '^Cluster ID: [A-Za-z0-9_-]{22}$' -- $TOOLS.ClusterTool cluster-id "${at[@]}"
prints "cluster: lists the endpoints" "${bootstrap##*:}" -- $TOOLS.ClusterTool list-endpoints "${at[@]}"
prints "broker-api-versions: lists every api with what is usable" "^$bootstrap \(id: $node .*-> \(" 'Produce\(0\): 0 to 13 \[usable: 13\]' \
    'Fetch\(1\): 4 to 18 \[usable: 18\]' 'Metadata\(3\): 0 to 13 \[usable: 13\]' 'ApiVersions\(18\): 0 to [45] \[usable: 4\]' -- \
    $TOOLS.BrokerApiVersionsCommand "${at[@]}"
prints "transactions: describes a partition's producers" 'ProducerId.*ProducerEpoch.*LatestCoordinatorEpoch.*LastSequence' '^[0-9]+ *.0' -- \
    $TOOLS.TransactionsCommand "${at[@]}" describe-producers --topic "$c" --partition 0

prints "topics: deletes a topic" -- "${topics[@]}" --delete --topic "$t"
refuses "topics: deleting an unknown topic is refused" "Topic '$run-none' does not exist" "${topics[@]}" --delete --topic "$run-none"
prints "topics: --if-exists passes over one that does not" -- "${topics[@]}" --delete --if-exists --topic "$run-none"
finish
