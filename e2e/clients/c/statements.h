/* What is stated of Kafka, one line each: `ok <statement>` or `FAIL <statement>: why`. */
#ifndef STATEMENTS_H
#define STATEMENTS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define PATIENCE_MS 60000

static jmp_buf judged;
static char why[600];
static int held, failed;

/* Ends the statement that runs: it does not hold. */
__attribute__((format(printf, 1, 2), noreturn)) static void fails(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(why, sizeof why, format, arguments);
    va_end(arguments);
    longjmp(judged, 1);
}

static void states(const char *statement, void (*body)(const void *), const void *with) {
    if (setjmp(judged) == 0) {
        body(with);
        held++;
        printf("ok %s\n", statement);
    } else {
        failed++;
        printf("FAIL %s: %s\n", statement, why);
    }
    fflush(stdout);
}

static void expect_number(const char *what, int64_t expected, int64_t actual) {
    if (expected != actual) fails("%s: expected %lld, got %lld", what, (long long)expected, (long long)actual);
}

static void expect_text(const char *what, const char *expected, const char *actual) {
    if (strcmp(expected, actual ? actual : "(null)") != 0) fails("%s: expected %.200s, got %.200s", what, expected, actual ? actual : "(null)");
}

static void expect_bytes(const char *what, const void *expected, size_t length, const void *actual, size_t actual_length) {
    if (length != actual_length || (length && memcmp(expected, actual, length) != 0))
        fails("%s: expected %zu bytes, got %zu, or others", what, length, actual_length);
}

static int64_t now_ms(clockid_t clock) {
    struct timespec at;
    clock_gettime(clock, &at);
    return (int64_t)at.tv_sec * 1000 + at.tv_nsec / 1000000;
}

/* For `while (waiting(...)) { try; }`: fails when PATIENCE_MS are over. */
static int waiting(const char *what, int64_t since, int done) {
    if (done) return 0;
    if (now_ms(CLOCK_MONOTONIC) - since > PATIENCE_MS) fails("not within %d s: %s", PATIENCE_MS / 1000, what);
    return 1;
}

/* A topic or group no run used before; lives as long as the program. */
static char *name(const char *hint) {
    static int names;
    struct timespec at;
    char *text = malloc(200);
    clock_gettime(CLOCK_REALTIME, &at);
    snprintf(text, 200, "c-%llx%09lx-%s-%d", (unsigned long long)at.tv_sec, at.tv_nsec, hint, ++names);
    return text;
}

/* Bytes no compressor makes smaller, the same in every run. */
static char *noise(size_t length) {
    uint32_t state = 0x9e3779b9;
    char *bytes = malloc(length + 1);
    for (size_t i = 0; i < length; i++) {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        bytes[i] = (char)state;
    }
    return bytes;
}

#endif
