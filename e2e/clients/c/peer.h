/* The broker under test, and how the statements reach it. */
#ifndef PEER_H
#define PEER_H

#include "statements.h"
#include <librdkafka/rdkafka.h>

static const char *bootstrap;
static rd_kafka_t *admin;
static const char *const NONE[] = {NULL};
/* For topics whose records have timestamps of long ago: by default Kafka would delete them, at a moment nobody knows. */
static const char *const KEPT[] = {"retention.ms", "-1", NULL};

static void check(rd_kafka_resp_err_t code, const char *doing) {
    if (code) fails("%s: %s", doing, rd_kafka_err2name(code));
}

static void refused(const char *expected, rd_kafka_resp_err_t code) {
    expect_text("the refusal", expected, code ? rd_kafka_err2name(code) : "none, it was accepted");
}

/* What was told of each record, by its number. */
struct told {
    rd_kafka_resp_err_t code[2000];
    int64_t offset[2000];
    int32_t partition[2000];
};

static void delivered(rd_kafka_t *client, const rd_kafka_message_t *message, void *opaque) {
    struct told *told = opaque;
    intptr_t i = (intptr_t)message->_private;
    (void)client;
    told->code[i] = message->err;
    told->offset[i] = message->offset;
    told->partition[i] = message->partition;
}

static rd_kafka_t *client(rd_kafka_type_t type, const char *const *settings, void *opaque) {
    char error[300];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    const char *base[] = {"bootstrap.servers", bootstrap, "log.connection.close", "false", "client.id", "c", NULL};
    const char *reading[] = {"group.id", "unused", "enable.auto.commit", "false", "auto.offset.reset", "earliest", "fetch.wait.max.ms", "100",
                             "session.timeout.ms", "10000", "heartbeat.interval.ms", "500", "topic.metadata.refresh.interval.ms", "2000", NULL};
    const char *const *all[] = {base, type == RD_KAFKA_CONSUMER ? reading : NONE, settings};
    for (size_t list = 0; list < 3; list++)
        for (const char *const *pair = all[list]; *pair; pair += 2)
            if (rd_kafka_conf_set(conf, pair[0], pair[1], error, sizeof error)) fails("%s=%s: %s", pair[0], pair[1], error);
    if (type == RD_KAFKA_PRODUCER && opaque) {
        rd_kafka_conf_set_dr_msg_cb(conf, delivered);
        rd_kafka_conf_set_opaque(conf, opaque);
    }
    rd_kafka_t *made = rd_kafka_new(type, conf, error, sizeof error);
    if (!made) fails("%s", error);
    if (type == RD_KAFKA_CONSUMER) rd_kafka_poll_set_consumer(made);
    return made;
}

/* Sends an administrator's request, made by the caller, and gives the answer: the caller destroys it. */
#define ASK(call) (call, rd_kafka_queue_poll(answers, PATIENCE_MS))

static rd_kafka_queue_t *answers;

static rd_kafka_resp_err_t create(const char *topic, int partitions, int replicas, const char *const *settings) {
    char error[300];
    rd_kafka_NewTopic_t *made = rd_kafka_NewTopic_new(topic, partitions, replicas, error, sizeof error);
    if (!made) fails("%s", error);
    for (; *settings; settings += 2) rd_kafka_NewTopic_set_config(made, settings[0], settings[1]);
    rd_kafka_event_t *answer = ASK(rd_kafka_CreateTopics(admin, &made, 1, NULL, answers));
    if (!answer) fails("no answer to CreateTopics");
    check(rd_kafka_event_error(answer), "CreateTopics");
    size_t count;
    const rd_kafka_topic_result_t **results = rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(answer), &count);
    rd_kafka_resp_err_t code = rd_kafka_topic_result_error(results[0]);
    rd_kafka_event_destroy(answer);
    rd_kafka_NewTopic_destroy(made);
    return code;
}

/* How many partitions it has, 0 when there is no such topic. */
static int described(const char *of) {
    const struct rd_kafka_metadata *all;
    int partitions = 0;
    check(rd_kafka_metadata(admin, 1, NULL, &all, PATIENCE_MS), "metadata");
    for (int t = 0; t < all->topic_cnt; t++)
        if (strcmp(all->topics[t].topic, of) == 0) partitions = all->topics[t].partition_cnt;
    rd_kafka_metadata_destroy(all);
    return partitions;
}

static const char *topic(const char *hint, int partitions, const char *const *settings) {
    const char *created = name(hint);
    check(create(created, partitions, 1, settings), "create the topic");
    /* Kafka's controller answers before the broker leads the partitions. */
    int64_t since = now_ms(CLOCK_MONOTONIC);
    while (waiting("the topic is described", since, described(created) == partitions))
        ;
    for (int p = 0; p < partitions; p++) {
        int64_t low, high;
        while (waiting("the topic is led", since, !rd_kafka_query_watermark_offsets(admin, created, p, &low, &high, 5000)))
            ;
    }
    return created;
}

struct record {
    int32_t partition;
    const void *key, *value;
    size_t key_length, value_length;
    int64_t timestamp;
    rd_kafka_headers_t *headers;
};

static void deliver(const char *to, const struct record *records, intptr_t count, const char *const *settings, struct told *told) {
    memset(told, 0, sizeof *told);
    rd_kafka_t *producer = client(RD_KAFKA_PRODUCER, settings, told);
    for (intptr_t i = 0; i < count; i++) {
        const struct record *one = &records[i];
        check(rd_kafka_producev(producer, RD_KAFKA_V_TOPIC(to), RD_KAFKA_V_PARTITION(one->partition), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
                                RD_KAFKA_V_KEY((void *)one->key, one->key_length), RD_KAFKA_V_VALUE((void *)one->value, one->value_length),
                                RD_KAFKA_V_TIMESTAMP(one->timestamp), RD_KAFKA_V_OPAQUE((void *)i),
                                RD_KAFKA_V_HEADERS(one->headers ? rd_kafka_headers_copy(one->headers) : NULL), RD_KAFKA_V_END),
              "produce");
    }
    check(rd_kafka_flush(producer, PATIENCE_MS), "flush");
    rd_kafka_destroy(producer);
}

/* Records `v<number>`, all delivered. */
static void numbered(const char *to, int32_t partition, int count, const char *const *settings) {
    static char texts[2000][8];
    static struct record records[2000];
    static struct told told;
    memset(records, 0, sizeof records);
    for (int i = 0; i < count; i++) {
        snprintf(texts[i], sizeof texts[i], "v%d", i);
        records[i] = (struct record){.partition = partition, .key = "k", .key_length = 1, .value = texts[i], .value_length = strlen(texts[i])};
    }
    deliver(to, records, count, settings, &told);
    for (int i = 0; i < count; i++) check(told.code[i], "delivery");
}

/* The next record; its errors fail the statement. */
static rd_kafka_message_t *next(rd_kafka_t *reader) {
    int64_t since = now_ms(CLOCK_MONOTONIC);
    rd_kafka_message_t *message = NULL;
    while (waiting("a record comes", since, message != NULL)) message = rd_kafka_consumer_poll(reader, 200);
    check(message->err, "read");
    return message;
}

static rd_kafka_t *reader(const char *of, int partitions, int64_t offset, const char *const *settings) {
    rd_kafka_t *made = client(RD_KAFKA_CONSUMER, settings, NULL);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(partitions);
    for (int p = 0; p < partitions; p++) rd_kafka_topic_partition_list_add(list, of, p)->offset = offset;
    check(rd_kafka_assign(made, list), "assign");
    rd_kafka_topic_partition_list_destroy(list);
    return made;
}

static void leave(rd_kafka_t *consumer) {
    rd_kafka_consumer_close(consumer);
    rd_kafka_destroy(consumer);
}

#endif
