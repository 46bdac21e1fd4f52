#!/usr/bin/env bash
# newer-tools.sh BOOTSTRAP PEER: what those of Kafka's programs expect of Kafka that read in a group with group.protocol=consumer, or look at
# and change one.
set -uo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
t=$run-newer g=$run-newer-group
echo "# Kafka's tools $KAFKA_VERSION, in groups of the newer protocol, against $peer"
reading= # the console consumer that stays
leave() {
    [[ -z $reading ]] || kill "$reading" 2>/dev/null
    [[ -z $reading ]] || wait "$reading" 2>/dev/null
    reading=
}
trap 'leave; rm -rf "$scratch"' EXIT

tool $TOOLS.TopicCommand "${at[@]}" --create --topic "$t" --partitions 2 </dev/null
seq 1 100 >"$scratch/lines"
tool $TOOLS.ConsoleProducer "${at[@]}" --topic "$t" --sync <"$scratch/lines"
console=($TOOLS.consumer.ConsoleConsumer "${at[@]}" --topic "$t" --group "$g" --consumer-property group.protocol=consumer)
prints "console consumer: with group.protocol=consumer it reads all, in a group" 'Processed a total of 100 messages' -- \
    "${console[@]}" --from-beginning --max-messages 100 --timeout-ms 60000
groups=($TOOLS.consumer.group.ConsumerGroupCommand "${at[@]}")
prints "consumer groups: lists groups of this type" "^$g +Consumer *$" -- "${groups[@]}" --list --type consumer
prints "consumer groups: lists types and states" "^$g +Consumer +Empty *$" -- "${groups[@]}" --list --type --state
tool "${groups[@]}" --list --type classic </dev/null
((code == 0)) && ! grep -q "^$g" <<<"$out"
judge "consumer groups: does not list it as a classic one"
prints "consumer groups: describes an empty group of this type" "has no active members" "^$g +$t +[01] +[0-9]+ +[0-9]+ +0 +- " -- \
    "${groups[@]}" --describe --group "$g"

# No shell between, so that the number is java's own.
(. "$PEERS_HOME/peers.sh" && exec java -Xmx256M -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Dlog4j2.configurationFile="$PEERS_HOME/log4j2-tools.yaml" \
    -cp "$KAFKA_JARS/*" "${console[@]}" --consumer-property client.id=console --consumer-property group.instance.id=one) \
    >"$scratch/console" 2>&1 </dev/null &
reading=$!
for _ in $(seq 40); do
    tool "${groups[@]}" --describe --group "$g" --state </dev/null
    grep -Eq ' Stable +1 *$' <<<"$out" && break
done
prints "consumer groups: describes the state, with the assignor and the number of members" "^$g +\S+ +\([0-9]+\) +uniform +Stable +1 *$" -- \
    "${groups[@]}" --describe --group "$g" --state
prints "consumer groups: describes the state, verbosely, with the epochs" \
    '^GROUP +COORDINATOR \(ID\) +ASSIGNMENT-STRATEGY +STATE +GROUP-EPOCH +TARGET-ASSIGNMENT-EPOCH +#MEMBERS' \
    "^$g +\S+ +\([0-9]+\) +uniform +Stable +([0-9]+) +\1 +1 *$" -- "${groups[@]}" --describe --group "$g" --state --verbose
prints "consumer groups: describes the members" '^GROUP +CONSUMER-ID +GROUP-INSTANCE-ID +HOST +CLIENT-ID +#PARTITIONS' "^$g +\S+ +one +/127.0.0.1 +console +2 *$" -- \
    "${groups[@]}" --describe --group "$g" --members
prints "consumer groups: describes the members, verbosely, with both assignments and the epochs" \
    '^GROUP +CONSUMER-ID +.*CURRENT-EPOCH +CURRENT-ASSIGNMENT +TARGET-EPOCH +TARGET-ASSIGNMENT' \
    "^$g +\S+ +one +/127.0.0.1 +console +2 +([0-9]+) +$t:0,1 +\1 +$t:0,1" -- "${groups[@]}" --describe --group "$g" --members --verbose
prints "consumer groups: describes the offsets, with whose they are" "^$g +$t +[01] +[0-9]+ +[0-9]+ +0 +\S+ +/127.0.0.1 +console" -- \
    "${groups[@]}" --describe --group "$g" --offsets
prints "consumer groups: does not reset a group that has members" "^Error: Assignments can only be reset if the group '$g' is inactive" -- \
    "${groups[@]}" --reset-offsets --group "$g" --topic "$t" --to-earliest --execute
prints "consumer groups: does not delete a group that has members" "Group '$g' could not be deleted due to:.*GroupNotEmptyException" -- \
    "${groups[@]}" --delete --group "$g"
prints "consumer groups: does not delete the offsets of a topic that members subscribe to" "Consumer group '$g' is actively subscribed|actively subscribed" -- \
    "${groups[@]}" --delete-offsets --group "$g" --topic "$t"
leave
# A static member stays until its session is over, and cannot be removed by hand.
g=$run-newer-reset
tool $TOOLS.consumer.ConsoleConsumer "${at[@]}" --topic "$t" --group "$g" --consumer-property group.protocol=consumer --from-beginning --max-messages 100 --timeout-ms 60000 </dev/null
for p in 0 1; do pattern[p]="^$g +$t +$p +0 *$"; done
prints "consumer groups: resets a group of this type: what it would do, and does" "${pattern[@]}" -- \
    "${groups[@]}" --reset-offsets --group "$g" --topic "$t" --to-earliest --dry-run
prints "consumer groups: resets a group of this type to the beginning" "${pattern[@]}" -- \
    "${groups[@]}" --reset-offsets --group "$g" --topic "$t" --to-earliest --execute
prints "console consumer: reads all again after that" 'Processed a total of 100 messages' -- \
    $TOOLS.consumer.ConsoleConsumer "${at[@]}" --topic "$t" --group "$g" --consumer-property group.protocol=consumer --max-messages 100 --timeout-ms 60000
prints "consumer groups: deletes offsets of a group of this type" "^$t +0 +Successful" -- "${groups[@]}" --delete-offsets --group "$g" --topic "$t:0"
prints "consumer groups: deletes a group of this type" "Deletion of requested consumer groups \('$g'\) was successful" -- \
    "${groups[@]}" --delete --group "$g"
prints "consumer perf: reads with group.protocol=consumer" '^[-0-9: ,.]+, 100, ' -- \
    $TOOLS.ConsumerPerformance "${at[@]}" --topic "$t" --num-records 100 --timeout 60000 --group "$run-perf" --command-property group.protocol=consumer
finish
