#!/usr/bin/env bash
# cluster-tools.sh BOOTSTRAP PEER: what Kafka's own programs for the cluster as a whole expect of Kafka: its quorum, features, leaders,
# replicas, quotas and clients' metrics; and the verifiable producer and consumer.
set -uo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
t=$run-a
echo "# Kafka's cluster tools $KAFKA_VERSION against $peer"

topics=($TOOLS.TopicCommand "${at[@]}")
prints "topics: creates a topic" "^Created topic $t\.$" -- "${topics[@]}" --create --topic "$t" --partitions 2 --replication-factor 1
node=$(timeout 60 bash -c '. "$0"; kafka_tool "$@"' "$PEERS_HOME/peers.sh" "${topics[@]}" --describe --topic "$t" </dev/null | sed -n 's/.*Partition: 0.*Leader: \([0-9]*\).*/\1/p')

quorum=($TOOLS.MetadataQuorumCommand "${at[@]}")
prints "metadata-quorum: the leader, its epoch and the voters" "^LeaderId: +$node$" '^LeaderEpoch: +[0-9]+$' '^HighWatermark: +[0-9]+$' \
    '^MaxFollowerLag: +0$' "^CurrentVoters: +\[\{\"id\": $node" '^CurrentObservers: +\[\]$' -- "${quorum[@]}" describe --status
prints "metadata-quorum: how far each voter is" '^NodeId.*LogEndOffset.*Lag' "^$node .*[0-9]+.*Leader" -- "${quorum[@]}" describe --replication

features=($TOOLS.FeatureCommand "${at[@]}")
prints "features: what is supported and what is finalized" '^Feature: metadata.version +SupportedMinVersion: [0-9.]+-IV[0-9]+ +SupportedMaxVersion: .*FinalizedVersionLevel: [0-9.]+-IV[0-9]+ +Epoch: [0-9]+' \
    '^Feature: group.version +SupportedMinVersion: 0 +SupportedMaxVersion: 1 +FinalizedVersionLevel: 1' -- "${features[@]}" describe
prints "features: one that has its level already" '^group.version was upgraded to 1\.$' -- "${features[@]}" upgrade --feature group.version=1
refuses "features: an unknown one is refused" 'Could not upgrade no.such.feature to 1\. .*Invalid update version 1 for feature no.such.feature' \
    "${features[@]}" upgrade --feature no.such.feature=1
prints "features: a downgrade can be tried" '^group.version can be downgraded to 0\.$' -- "${features[@]}" downgrade --feature group.version=0 --dry-run

election=($TOOLS.LeaderElectionCommand "${at[@]}")
prints "leader-election: all partitions" -- "${election[@]}" --election-type preferred --all-topic-partitions
prints "leader-election: the preferred replica leads already" "^Valid replica already elected for partitions $t-0$" -- \
    "${election[@]}" --election-type preferred --topic "$t" --partition 0
prints "leader-election: nothing unclean is needed" "^Valid replica already elected for partitions $t-1$" -- \
    "${election[@]}" --election-type unclean --topic "$t" --partition 1
refuses "leader-election: an unknown topic is refused" "partition: $run-none-0: .*UnknownTopicOrPartitionException" \
    "${election[@]}" --election-type preferred --topic "$run-none" --partition 0

reassign=($TOOLS.reassign.ReassignPartitionsCommand "${at[@]}")
printf '{"topics": [{"topic": "%s"}], "version": 1}\n' "$t" >"$scratch/topics.json"
printf '{"version": 1, "partitions": [{"topic": "%s", "partition": 0, "replicas": [%s]}]}\n' "$t" "$node" >"$scratch/same.json"
printf '{"version": 1, "partitions": [{"topic": "%s", "partition": 0, "replicas": [%s], "log_dirs": ["/no/such/directory"]}]}\n' "$t" "$node" >"$scratch/directory.json"
printf '{"version": 1, "partitions": [{"topic": "%s", "partition": 0, "replicas": [97]}]}\n' "$t" >"$scratch/other.json"
prints "reassign: proposes where partitions could go" '^Proposed partition reassignment configuration' "\"topic\":\"$t\",\"partition\":1,\"replicas\":\[$node\],\"log_dirs\":\[\"any\"\]" -- \
    "${reassign[@]}" --generate --topics-to-move-json-file "$scratch/topics.json" --broker-list "$node"
prints "reassign: to the brokers where it is" "^Successfully started partition reassignment for $t-0$" -- "${reassign[@]}" --execute --reassignment-json-file "$scratch/same.json"
prints "reassign: is completed" "^Reassignment of partition $t-0 is completed\.$" -- "${reassign[@]}" --verify --reassignment-json-file "$scratch/same.json"
prints "reassign: nothing is being moved" '^No partition reassignments found\.$' -- "${reassign[@]}" --list
prints "reassign: nothing is there to cancel" '^None of the specified partition reassignments are active\.$' -- "${reassign[@]}" --cancel --reassignment-json-file "$scratch/same.json"
refuses "reassign: an unknown broker is refused" 'Unknown broker id 97' "${reassign[@]}" --execute --reassignment-json-file "$scratch/other.json"
refuses "reassign: an unknown directory is refused" "Failed to alter dir for $t-0" "${reassign[@]}" --execute --reassignment-json-file "$scratch/directory.json"

configs=(kafka.admin.ConfigCommand "${at[@]}")
prints "quotas: a client's rate is set" "^Completed updating config for client $run-c\.$" -- \
    "${configs[@]}" --alter --entity-type clients --entity-name "$run-c" --add-config producer_byte_rate=1048576
prints "quotas: a client's rate is described" "^Quota configs for client-id '$run-c' are producer_byte_rate=1048576\.0$" -- \
    "${configs[@]}" --describe --entity-type clients --entity-name "$run-c"
prints "quotas: of a user's client, and of all others of that user" "^Completed updating config for user $run-u\.$" -- \
    "${configs[@]}" --alter --user "$run-u" --client-defaults --add-config consumer_byte_rate=2048
prints "quotas: are described together" "^Quota configs for user-principal '$run-u', the default client-id are consumer_byte_rate=2048\.0$" -- \
    "${configs[@]}" --describe --entity-type users --entity-name "$run-u" --entity-type clients
refuses "quotas: half a byte is refused" 'cannot be a fractional value' "${configs[@]}" --alter --entity-type clients --entity-name "$run-c" --add-config producer_byte_rate=0.5
prints "quotas: of an address" "^Completed updating config for ip 127\.0\.9\.9\.$" -- \
    "${configs[@]}" --alter --entity-type ips --entity-name 127.0.9.9 --add-config connection_creation_rate=10
prints "quotas: a client's rate is taken away" "^Completed updating config for client $run-c\.$" -- \
    "${configs[@]}" --alter --entity-type clients --entity-name "$run-c" --delete-config producer_byte_rate

metrics=($TOOLS.ClientMetricsCommand "${at[@]}")
prints "client-metrics: which are to be pushed" "^Altered client metrics config for $run-m\.$" -- \
    "${metrics[@]}" --alter --name "$run-m" --metrics org.apache.kafka.producer. --interval 30000 --match "client_id=$run.*"
prints "client-metrics: are described" "^Client metrics configs for $run-m are:" '^  interval.ms=30000$' "^  match=client_id=$run\.\*$" -- "${metrics[@]}" --describe --name "$run-m"
prints "client-metrics: are listed" "^$run-m$" -- "${metrics[@]}" --list
refuses "client-metrics: too short an interval is refused" 'Invalid value 7 for interval.ms' "${metrics[@]}" --alter --name "$run-m" --interval 7
prints "client-metrics: are deleted" "^Deleted client metrics config for $run-m\.$" -- "${metrics[@]}" --delete --name "$run-m"

prints "verifiable producer: says what was acknowledged" '"name":"producer_send_success","key":"1","value":"7\.1","offset":[0-9]+' '"name":"tool_data","sent":100,"acked":100' -- \
    $TOOLS.VerifiableProducer "${at[@]}" --topic "$t" --max-messages 100 --value-prefix 7 --repeating-keys 10
prints "verifiable consumer: says what it read and committed" '"name":"partitions_assigned"' '"name":"records_consumed","count":[0-9]+' '"name":"offsets_committed".*"success":true' -- \
    $TOOLS.VerifiableConsumer "${at[@]}" --topic "$t" --group-id "$run-g" --max-messages 100
prints "groups: lists the consumer's, with its type" "^$run-g +Classic +consumer" -- $TOOLS.GroupsCommand "${at[@]}" --list
finish
