/* main BOOTSTRAP PEER: what librdkafka, used from C, expects of Kafka. */
#include "peer.h"

static const char *const COMPRESSIONS[] = {"none", "gzip", "snappy", "lz4", "zstd"};

static void contents(const void *with) {
    const char *compression = with;
    const char *of = topic(compression, 1, KEPT);
    const char *settings[] = {"compression.type", compression, "linger.ms", "50", NULL};
    static struct record records[200];
    static struct told told;
    static char keys[200][12];
    char *bytes = noise(2000);
    for (int i = 0; i < 200; i++) {
        snprintf(keys[i], sizeof keys[i], "key%d", i);
        records[i] = (struct record){.key = i % 5 == 1 ? NULL : keys[i], .key_length = i % 5 == 1 ? 0 : strlen(keys[i]), .value = i % 5 == 2 ? NULL : bytes,
                                     .value_length = i % 5 == 2 ? 0 : (size_t)i * 10, .timestamp = 1600000000000 + i * 37 % 101, .headers = rd_kafka_headers_new(4)};
        /* The same name several times, and an order that is not the alphabet's. */
        for (int h = 0; h < i % 4; h++) rd_kafka_header_add(records[i].headers, h % 2 ? "a" : "z", 1, h == 2 ? NULL : keys[i], h == 2 ? 0 : -1);
    }
    deliver(of, records, 200, settings, &told);
    rd_kafka_t *from = reader(of, 1, RD_KAFKA_OFFSET_BEGINNING, NONE);
    for (int i = 0; i < 200; i++) {
        rd_kafka_message_t *message = next(from);
        rd_kafka_timestamp_type_t type;
        expect_number("told offset", i, told.offset[i]);
        expect_number("offset", i, message->offset);
        expect_number("the key is null", records[i].key == NULL, message->key == NULL);
        expect_bytes("key", records[i].key, records[i].key_length, message->key, message->key_len);
        expect_number("the value is null", records[i].value == NULL, message->payload == NULL);
        expect_bytes("value", records[i].value, records[i].value_length, message->payload, message->len);
        expect_number("timestamp", records[i].timestamp, rd_kafka_message_timestamp(message, &type));
        expect_number("timestamp type", RD_KAFKA_TIMESTAMP_CREATE_TIME, type);
        rd_kafka_headers_t *headers = NULL;
        rd_kafka_message_headers(message, &headers);
        expect_number("headers", i % 4, headers ? (int64_t)rd_kafka_header_cnt(headers) : 0);
        for (int h = 0; h < i % 4; h++) {
            const char *key;
            const void *value;
            size_t length;
            check(rd_kafka_header_get_all(headers, (size_t)h, &key, &value, &length), "header");
            expect_text("header", h % 2 ? "a" : "z", key);
            expect_bytes("header's value", keys[i], h == 2 ? 0 : strlen(keys[i]), value, length);
        }
        rd_kafka_message_destroy(message);
        rd_kafka_headers_destroy(records[i].headers);
    }
    leave(from);
    free(bytes);
}

static void megabyte(const void *with) {
    const char *settings[] = {"compression.type", with, "message.max.bytes", "2000000", NULL};
    const char *of = topic(with, 1, NONE);
    static struct told told;
    char *bytes = noise(1000000);
    struct record one = {.value = bytes, .value_length = 1000000};
    deliver(of, &one, 1, settings, &told);
    check(told.code[0], "delivery");
    rd_kafka_t *from = reader(of, 1, RD_KAFKA_OFFSET_BEGINNING, NONE);
    rd_kafka_message_t *message = next(from);
    expect_bytes("value", bytes, 1000000, message->payload, message->len);
    rd_kafka_message_destroy(message);
    leave(from);
    free(bytes);
}

static void acknowledged(const void *with) {
    const char *of = topic("acks", 1, NONE);
    numbered(of, 0, 1000, with);
    rd_kafka_t *from = reader(of, 1, RD_KAFKA_OFFSET_BEGINNING, NONE);
    for (int i = 0; i < 1000; i++) {
        char expected[12];
        snprintf(expected, sizeof expected, "v%d", i);
        rd_kafka_message_t *message = next(from);
        expect_number("offset", i, message->offset);
        expect_bytes("value", expected, strlen(expected), message->payload, message->len);
        rd_kafka_message_destroy(message);
    }
    leave(from);
}

static void too_large(const void *with) {
    (void)with;
    const char *settings[] = {"message.max.bytes", "2000000", NULL};
    const char *of = topic("large", 1, NONE);
    static struct told told;
    char *bytes = noise(1100000);
    struct record one = {.value = bytes, .value_length = 1100000};
    deliver(of, &one, 1, settings, &told);
    refused("MSG_SIZE_TOO_LARGE", told.code[0]);
    one.value_length = 10;
    deliver(of, &one, 1, settings, &told);
    expect_number("offset of the next", 0, told.offset[0]);
    free(bytes);
}

static void bad_records(const void *with) {
    (void)with;
    const char *compact[] = {"cleanup.policy", "compact", NULL};
    static struct told told;
    struct record one = {.value = "v", .value_length = 1};
    deliver(topic("compact", 1, compact), &one, 1, NONE, &told);
    refused("INVALID_RECORD", told.code[0]);
    one.timestamp = now_ms(CLOCK_REALTIME) + 7200000;
    deliver(topic("ahead", 1, NONE), &one, 1, NONE, &told);
    refused("INVALID_TIMESTAMP", told.code[0]);
}

static void append_time(const void *with) {
    (void)with;
    const char *append[] = {"message.timestamp.type", "LogAppendTime", NULL};
    const char *of = topic("append-time", 1, append);
    int64_t before = now_ms(CLOCK_REALTIME);
    static struct told told;
    struct record one = {.value = "v", .value_length = 1, .timestamp = 1000};
    for (int i = 0; i < 5; i++) {
        const char *settings[] = {"compression.type", COMPRESSIONS[i], NULL};
        deliver(of, &one, 1, settings, &told);
    }
    rd_kafka_t *from = reader(of, 1, RD_KAFKA_OFFSET_BEGINNING, NONE);
    for (int i = 0; i < 5; i++) {
        rd_kafka_timestamp_type_t type;
        rd_kafka_message_t *message = next(from);
        int64_t at = rd_kafka_message_timestamp(message, &type);
        expect_number("type", RD_KAFKA_TIMESTAMP_LOG_APPEND_TIME, type);
        expect_number("timestamp is of now", 1, before <= at && at <= now_ms(CLOCK_REALTIME));
        rd_kafka_message_destroy(message);
    }
    leave(from);
}

static void positions(const void *with) {
    (void)with;
    const char *settings[] = {"compression.type", "gzip", "linger.ms", "100", NULL};
    const char *of = topic("offsets", 1, NONE);
    numbered(of, 0, 100, settings);
    const int64_t from[][2] = {{RD_KAFKA_OFFSET_BEGINNING, 0}, {57, 57}, {99, 99}, {RD_KAFKA_OFFSET_TAIL(10), 90}};
    for (int i = 0; i < 4; i++) {
        rd_kafka_t *one = reader(of, 1, from[i][0], NONE);
        rd_kafka_message_t *message = next(one);
        expect_number("first", from[i][1], message->offset);
        rd_kafka_message_destroy(message);
        leave(one);
    }
    rd_kafka_t *one = reader(of, 1, 10, NONE);
    rd_kafka_message_destroy(next(one));
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, of, 0)->offset = 80;
    rd_kafka_error_t *error = rd_kafka_seek_partitions(one, list, PATIENCE_MS);
    if (error) fails("seek: %s", rd_kafka_error_string(error));
    rd_kafka_message_t *message = next(one);
    expect_number("after the seek", 80, message->offset);
    rd_kafka_message_destroy(message);
    check(rd_kafka_position(one, list), "position");
    expect_number("position", 81, list->elems[0].offset);
    /* A list that was looked up holds on to its client. */
    rd_kafka_topic_partition_list_destroy(list);
    leave(one);
}

static void paused(const void *with) {
    (void)with;
    const char *of = topic("pause", 2, NONE);
    rd_kafka_t *one = reader(of, 2, RD_KAFKA_OFFSET_BEGINNING, NONE);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, of, 0);
    check(rd_kafka_pause_partitions(one, list), "pause");
    numbered(of, 0, 5, NONE);
    numbered(of, 1, 5, NONE);
    for (int i = 0; i < 10; i++) {
        if (i == 5) check(rd_kafka_resume_partitions(one, list), "resume");
        rd_kafka_message_t *message = next(one);
        expect_number("partition", i < 5 ? 1 : 0, message->partition);
        rd_kafka_message_destroy(message);
    }
    /* A list that was looked up holds on to its client. */
    rd_kafka_topic_partition_list_destroy(list);
    leave(one);
}

static void times(const void *with) {
    (void)with;
    const char *of = topic("times", 1, KEPT);
    static struct record records[30];
    static struct told told;
    for (int i = 0; i < 30; i++) records[i] = (struct record){.value = "v", .value_length = 1, .timestamp = 10000 + 100 * i};
    deliver(of, records, 30, NONE, &told);
    int64_t low, high;
    check(rd_kafka_query_watermark_offsets(admin, of, 0, &low, &high, PATIENCE_MS), "watermarks");
    expect_number("low", 0, low);
    expect_number("high", 30, high);
    const int64_t at[][2] = {{0, 0}, {10000, 0}, {10001, 1}, {10700, 7}, {12900, 29}, {12901, RD_KAFKA_OFFSET_END}};
    for (int i = 0; i < 6; i++) {
        rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
        rd_kafka_topic_partition_list_add(list, of, 0)->offset = at[i][0];
        check(rd_kafka_offsets_for_times(admin, list, PATIENCE_MS), "offsets for times");
        expect_number("offset", at[i][1], list->elems[0].offset);
        rd_kafka_topic_partition_list_destroy(list);
    }
}

static void out_of_range(const void *with) {
    (void)with;
    const char *strict[] = {"auto.offset.reset", "error", NULL};
    const char *of = topic("range", 1, NONE);
    numbered(of, 0, 10, NONE);
    rd_kafka_t *one = reader(of, 1, 1000, NONE);
    rd_kafka_message_t *message = next(one);
    expect_number("first", 0, message->offset);
    rd_kafka_message_destroy(message);
    leave(one);
    one = reader(of, 1, 1000, strict);
    message = NULL;
    int64_t since = now_ms(CLOCK_MONOTONIC);
    while (waiting("it is told", since, message != NULL)) message = rd_kafka_consumer_poll(one, 200);
    refused("_AUTO_OFFSET_RESET", message->err);
    rd_kafka_message_destroy(message);
    leave(one);
}

static void partition_end(const void *with) {
    (void)with;
    const char *settings[] = {"enable.partition.eof", "true", "isolation.level", "read_committed", "check.crcs", "true", NULL};
    const char *of = topic("eof", 1, NONE);
    numbered(of, 0, 50, NONE);
    rd_kafka_t *one = reader(of, 1, RD_KAFKA_OFFSET_BEGINNING, settings);
    for (int i = 0; i < 50; i++) rd_kafka_message_destroy(next(one));
    rd_kafka_message_t *message = NULL;
    int64_t since = now_ms(CLOCK_MONOTONIC);
    while (waiting("the end is told", since, message != NULL)) message = rd_kafka_consumer_poll(one, 200);
    refused("_PARTITION_EOF", message->err);
    expect_number("at", 50, message->offset);
    rd_kafka_message_destroy(message);
    leave(one);
}

static rd_kafka_resp_err_t delete_topic(const char *of) {
    rd_kafka_DeleteTopic_t *gone = rd_kafka_DeleteTopic_new(of);
    rd_kafka_event_t *answer = ASK(rd_kafka_DeleteTopics(admin, &gone, 1, NULL, answers));
    if (!answer) fails("no answer to DeleteTopics");
    size_t count;
    const rd_kafka_topic_result_t **results = rd_kafka_DeleteTopics_result_topics(rd_kafka_event_DeleteTopics_result(answer), &count);
    rd_kafka_resp_err_t code = rd_kafka_topic_result_error(results[0]);
    rd_kafka_event_destroy(answer);
    rd_kafka_DeleteTopic_destroy(gone);
    return code;
}

static rd_kafka_resp_err_t grow(const char *of, size_t to) {
    char error[300];
    rd_kafka_NewPartitions_t *more = rd_kafka_NewPartitions_new(of, to, error, sizeof error);
    rd_kafka_event_t *answer = ASK(rd_kafka_CreatePartitions(admin, &more, 1, NULL, answers));
    if (!answer) fails("no answer to CreatePartitions");
    size_t count;
    const rd_kafka_topic_result_t **results = rd_kafka_CreatePartitions_result_topics(rd_kafka_event_CreatePartitions_result(answer), &count);
    rd_kafka_resp_err_t code = rd_kafka_topic_result_error(results[0]);
    rd_kafka_event_destroy(answer);
    rd_kafka_NewPartitions_destroy(more);
    return code;
}

static void topics(const void *with) {
    (void)with;
    const char *of = topic("topics", 3, NONE);
    int64_t since = now_ms(CLOCK_MONOTONIC);
    expect_number("partitions", 3, described(of));
    check(grow(of, 5), "grow");
    while (waiting("five partitions", since, described(of) == 5))
        ;
    refused("INVALID_PARTITIONS", grow(of, 4));
    check(delete_topic(of), "delete");
    while (waiting("it is gone", since, described(of) == 0))
        ;
    refused("UNKNOWN_TOPIC_OR_PART", delete_topic(of));
}

static void bad_topics(const void *with) {
    (void)with;
    const char *soon[] = {"retention.ms", "soon", NULL};
    const char *of = topic("exists", 1, NONE);
    refused("TOPIC_ALREADY_EXISTS", create(of, 1, 1, NONE));
    refused("TOPIC_EXCEPTION", create("bad name", 1, 1, NONE));
    refused("INVALID_REPLICATION_FACTOR", create(name("many"), 1, 4, NONE));
    refused("INVALID_CONFIG", create(name("soon"), 1, 1, soon));
}

static rd_kafka_resp_err_t delete_records(const char *of, int64_t before, int64_t *low) {
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, of, 0)->offset = before;
    rd_kafka_DeleteRecords_t *gone = rd_kafka_DeleteRecords_new(list);
    rd_kafka_event_t *answer = ASK(rd_kafka_DeleteRecords(admin, &gone, 1, NULL, answers));
    if (!answer) fails("no answer to DeleteRecords");
    check(rd_kafka_event_error(answer), "DeleteRecords");
    const rd_kafka_topic_partition_list_t *told = rd_kafka_DeleteRecords_result_offsets(rd_kafka_event_DeleteRecords_result(answer));
    rd_kafka_resp_err_t code = told->elems[0].err;
    *low = told->elems[0].offset;
    rd_kafka_event_destroy(answer);
    rd_kafka_DeleteRecords_destroy(gone);
    rd_kafka_topic_partition_list_destroy(list);
    return code;
}

static void deleted(const void *with) {
    (void)with;
    const char *of = topic("delete", 1, NONE);
    int64_t low;
    numbered(of, 0, 20, NONE);
    check(delete_records(of, 6, &low), "delete");
    expect_number("low watermark", 6, low);
    rd_kafka_t *one = reader(of, 1, RD_KAFKA_OFFSET_BEGINNING, NONE);
    rd_kafka_message_t *message = next(one);
    expect_number("first that is left", 6, message->offset);
    rd_kafka_message_destroy(message);
    leave(one);
    refused("OFFSET_OUT_OF_RANGE", delete_records(of, 21, &low));
    check(delete_records(of, RD_KAFKA_OFFSET_END, &low), "delete all");
    expect_number("low watermark", 20, low);
}

/* The value is copied into `value`. */
static void setting(const char *of, const char *key, char *value, size_t room) {
    rd_kafka_ConfigResource_t *resource = rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, of);
    rd_kafka_event_t *answer = ASK(rd_kafka_DescribeConfigs(admin, &resource, 1, NULL, answers));
    if (!answer) fails("no answer to DescribeConfigs");
    size_t count;
    const rd_kafka_ConfigResource_t **told = rd_kafka_DescribeConfigs_result_resources(rd_kafka_event_DescribeConfigs_result(answer), &count);
    check(rd_kafka_ConfigResource_error(told[0]), "DescribeConfigs");
    const rd_kafka_ConfigEntry_t **entries = rd_kafka_ConfigResource_configs(told[0], &count);
    *value = 0;
    for (size_t i = 0; i < count; i++)
        if (strcmp(rd_kafka_ConfigEntry_name(entries[i]), key) == 0) snprintf(value, room, "%s", rd_kafka_ConfigEntry_value(entries[i]));
    rd_kafka_event_destroy(answer);
    rd_kafka_ConfigResource_destroy(resource);
}

static rd_kafka_resp_err_t alter(const char *of, const char *key, const char *value) {
    rd_kafka_ConfigResource_t *resource = rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, of);
    rd_kafka_ConfigResource_set_config(resource, key, value);
    rd_kafka_event_t *answer = ASK(rd_kafka_AlterConfigs(admin, &resource, 1, NULL, answers));
    if (!answer) fails("no answer to AlterConfigs");
    size_t count;
    const rd_kafka_ConfigResource_t **told = rd_kafka_AlterConfigs_result_resources(rd_kafka_event_AlterConfigs_result(answer), &count);
    rd_kafka_resp_err_t code = rd_kafka_ConfigResource_error(told[0]);
    rd_kafka_event_destroy(answer);
    rd_kafka_ConfigResource_destroy(resource);
    return code;
}

static void settings_of_topics(const void *with) {
    (void)with;
    const char *given[] = {"retention.ms", "4711", NULL};
    const char *of = topic("settings", 1, given);
    char value[100];
    setting(of, "retention.ms", value, sizeof value);
    expect_text("retention.ms", "4711", value);
    setting(of, "max.message.bytes", value, sizeof value);
    expect_text("max.message.bytes", "1048588", value);
    check(alter(of, "cleanup.policy", "compact"), "alter");
    int64_t since = now_ms(CLOCK_MONOTONIC);
    do setting(of, "retention.ms", value, sizeof value);
    while (waiting("what is not named goes back to its default", since, strcmp(value, "604800000") == 0));
    refused("INVALID_CONFIG", alter(of, "retention.ms", "soon"));
}

static void cluster(const void *with) {
    (void)with;
    char *id = rd_kafka_clusterid(admin, PATIENCE_MS);
    expect_number("length of the id", 22, id ? (int64_t)strlen(id) : -1);
    const struct rd_kafka_metadata *all;
    check(rd_kafka_metadata(admin, 1, NULL, &all, PATIENCE_MS), "metadata");
    char address[300];
    snprintf(address, sizeof address, "%s:%d", all->brokers[0].host, all->brokers[0].port);
    expect_text("address", bootstrap, address);
    expect_number("controller", all->brokers[0].id, rd_kafka_controllerid(admin, PATIENCE_MS));
    rd_kafka_metadata_destroy(all);
}

static int owned(rd_kafka_t *member) {
    rd_kafka_topic_partition_list_t *list;
    check(rd_kafka_assignment(member, &list), "assignment");
    int count = list->cnt;
    rd_kafka_topic_partition_list_destroy(list);
    return count;
}

/* Who does not poll does not take part. */
static int turn(rd_kafka_t *member) {
    rd_kafka_message_t *message = rd_kafka_consumer_poll(member, 20);
    if (!message) return 0;
    check(message->err, "read");
    rd_kafka_message_destroy(message);
    return 1;
}

static rd_kafka_t *join(const char *group, const char *of, const char *strategy) {
    const char *settings[] = {"group.id", group, "partition.assignment.strategy", strategy, NULL};
    rd_kafka_t *member = client(RD_KAFKA_CONSUMER, settings, NULL);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, of, RD_KAFKA_PARTITION_UA);
    check(rd_kafka_subscribe(member, list), "subscribe");
    rd_kafka_topic_partition_list_destroy(list);
    return member;
}

static void shared(const void *with) {
    const char *of = topic("shared", 4, NONE), *group = name("group");
    int64_t since = now_ms(CLOCK_MONOTONIC);
    int got = 0;
    rd_kafka_t *one = join(group, of, with);
    while (waiting("it owns four", since, owned(one) == 4)) got += turn(one);
    rd_kafka_t *two = join(group, of, with);
    while (waiting("each owns two", since, owned(one) == 2 && owned(two) == 2)) got += turn(one) + turn(two);
    for (int p = 0; p < 4; p++) numbered(of, p, 5, NONE);
    while (waiting("all is read", since, got >= 20)) got += turn(one) + turn(two);
    leave(two);
    while (waiting("it owns four again", since, owned(one) == 4)) got += turn(one);
    leave(one);
}

static rd_kafka_resp_err_t delete_group(const char *group) {
    rd_kafka_DeleteGroup_t *gone = rd_kafka_DeleteGroup_new(group);
    rd_kafka_event_t *answer = ASK(rd_kafka_DeleteGroups(admin, &gone, 1, NULL, answers));
    if (!answer) fails("no answer to DeleteGroups");
    size_t count;
    const rd_kafka_group_result_t **results = rd_kafka_DeleteGroups_result_groups(rd_kafka_event_DeleteGroups_result(answer), &count);
    const rd_kafka_error_t *error = rd_kafka_group_result_error(results[0]);
    rd_kafka_resp_err_t code = error ? rd_kafka_error_code(error) : 0;
    rd_kafka_event_destroy(answer);
    rd_kafka_DeleteGroup_destroy(gone);
    return code;
}

static void resumed(const void *with) {
    (void)with;
    const char *of = topic("resume", 1, NONE), *group = name("group");
    numbered(of, 0, 10, NONE);
    rd_kafka_t *one = join(group, of, "range");
    for (int i = 0; i < 10; i++) rd_kafka_message_destroy(next(one));
    refused("NON_EMPTY_GROUP", delete_group(group));
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_t *kept = rd_kafka_topic_partition_list_add(list, of, 0);
    kept->offset = 7;
    kept->metadata = strdup("schön ✓");
    kept->metadata_size = strlen("schön ✓");
    check(rd_kafka_commit(one, list, 0), "commit");
    leave(one);
    one = join(group, of, "range");
    rd_kafka_message_t *message = next(one);
    expect_number("read again from", 7, message->offset);
    rd_kafka_message_destroy(message);
    check(rd_kafka_committed(one, list, PATIENCE_MS), "committed");
    expect_number("committed", 7, list->elems[0].offset);
    expect_bytes("metadata", "schön ✓", strlen("schön ✓"), list->elems[0].metadata, list->elems[0].metadata_size);
    const struct rd_kafka_group_list *groups;
    check(rd_kafka_list_groups(one, group, &groups, PATIENCE_MS), "list groups");
    expect_text("state", "Stable", groups->groups[0].state);
    expect_text("assignor", "range", groups->groups[0].protocol);
    expect_text("client", "c", groups->groups[0].members[0].client_id);
    rd_kafka_group_list_destroy(groups);
    rd_kafka_topic_partition_list_destroy(list);
    leave(one);
    check(delete_group(group), "delete");
    refused("GROUP_ID_NOT_FOUND", delete_group(group));
}

int main(int count, char **arguments) {
    if (count != 3) {
        fprintf(stderr, "arguments: BOOTSTRAP PEER\n");
        return 2;
    }
    bootstrap = arguments[1];
    printf("# C, librdkafka %s against %s\n", rd_kafka_version_str(), arguments[2]);
    if (setjmp(judged)) {
        fprintf(stderr, "%s\n", why);
        return 2;
    }
    admin = client(RD_KAFKA_PRODUCER, NONE, NULL);
    answers = rd_kafka_queue_new(admin);

    char statement[200];
    for (int i = 0; i < 5; i++) {
        snprintf(statement, sizeof statement, "%s: keys, values, headers, timestamps and order come back as sent", COMPRESSIONS[i]);
        states(statement, contents, COMPRESSIONS[i]);
        snprintf(statement, sizeof statement, "%s: a record of 1 MB comes back as sent", COMPRESSIONS[i]);
        states(statement, megabyte, COMPRESSIONS[i]);
    }
    const char *acks[][5] = {{"acks", "0", NULL}, {"acks", "1", "batch.num.messages", "20", NULL}, {"acks", "all", "batch.num.messages", "20", NULL}, {"enable.idempotence", "true", "batch.num.messages", "20", NULL}};
    for (int i = 0; i < 4; i++) {
        snprintf(statement, sizeof statement, "%s=%s: records are stored in order, over many requests", acks[i][0], acks[i][1]);
        states(statement, acknowledged, acks[i]);
    }
    states("a record above max.message.bytes is refused: MSG_SIZE_TOO_LARGE", too_large, NULL);
    states("a record without key in a compacted topic is refused: INVALID_RECORD; one of the future: INVALID_TIMESTAMP", bad_records, NULL);
    states("LogAppendTime: the broker's clock replaces the record's timestamp", append_time, NULL);
    states("from offsets: beginning, exact within a batch, from the tail; seek, and the position follows", positions, NULL);
    states("a paused partition gives nothing until it is resumed, and the others go on", paused, NULL);
    states("watermarks, and offsets for times", times, NULL);
    states("out of range: auto.offset.reset=error is told, earliest goes to the beginning", out_of_range, NULL);
    states("read_committed and checked checksums on plain records: the same records, and the end is told", partition_end, NULL);
    states("topics: created, described, grown, deleted", topics, NULL);
    states("bad topics are refused: existing, bad name, too many replicas, bad setting", bad_topics, NULL);
    states("deleted records are gone, -1 deletes all, and beyond the end is refused: OFFSET_OUT_OF_RANGE", deleted, NULL);
    states("settings: described, replaced as a whole (AlterConfigs); a bad value is refused: INVALID_CONFIG", settings_of_topics, NULL);
    states("the cluster is described: its id, its node, its controller", cluster, NULL);
    const char *strategies[] = {"range", "roundrobin", "cooperative-sticky"};
    for (int i = 0; i < 3; i++) {
        snprintf(statement, sizeof statement, "groups: %s: a second member gets half of the partitions, and they are given back when it leaves", strategies[i]);
        states(statement, shared, strategies[i]);
    }
    states("groups: a commit is read back with its metadata, a member that comes later reads on there; a group is described, and deleted when it is empty", resumed, NULL);

    printf("%d statements hold, %d do not\n", held, failed);
    return failed ? 1 : 0;
}
