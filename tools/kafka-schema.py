#!/usr/bin/env python3
"""Writes wire/schema/kafka-4.4.txt from the message schemas inside a kafka-clients jar, and wire/schema/group-records-4.4.txt
from those of the records that a group coordinator writes.

    mvn dependency:copy -Dartifact=org.apache.kafka:kafka-clients:4.4.0 -DoutputDirectory=target/java
    tools/kafka-schema.py target/java/kafka-clients-4.4.0.jar > wire/schema/kafka-4.4.txt
    mvn dependency:copy -Dartifact=org.apache.kafka:kafka-group-coordinator:4.4.0 -DoutputDirectory=target/java
    tools/kafka-schema.py target/java/kafka-group-coordinator-4.4.0.jar > wire/schema/group-records-4.4.txt

Only facts are taken over: names, types, versions, tags, defaults. The notation is explained at the head of the table, and
wire/build.rs reads it.
"""
import json
import re
import sys
import zipfile

HEAD = """\
# The messages of Apache Kafka 4.4. Written by tools/kafka-schema.py from the schemas inside kafka-clients-4.4.0.jar.
#
#   api KEY NAME STABLE_VERSIONS
#   request|response VALID_VERSIONS flexible=VERSIONS
#     FIELD TYPE VERSIONS [null=VERSIONS] [tag=NUMBER:VERSIONS] [default=VALUE] [ignorable] [entity=ENTITY]
#       fields of a structure that is used once are indented below it
#     struct NAME
#       fields of a structure that is used more than once
#
# VERSIONS are `3+`, `2-5`, `4` or `none`. TYPE is a primitive, a structure's name, or `[]` and one of both. An ignorable
# field is left out of versions that lack it; any other makes encoding fail there, unless it has its default.
"""

RECORDS_HEAD = """\
# The records that Apache Kafka 4.4 keeps in __consumer_offsets. Written by tools/kafka-schema.py from the schemas inside
# kafka-group-coordinator-4.4.0.jar. The notation is that of kafka-4.4.txt, with a record's key and value instead of an api's
# request and response: the number after `record` is what the first two bytes of a key say, and the first two bytes of a value
# are its version.
"""


def load(jar, kinds):
    messages = {}
    with zipfile.ZipFile(jar) as archive:
        for name in sorted(archive.namelist()):
            if re.fullmatch(rf"common/message/\w+({kinds})\.json", name):
                text = archive.read(name).decode()
                text = re.sub(r"^\s*//.*$", "", text, flags=re.M)
                message = json.loads(text)
                messages[message["apiKey"], message["type"]] = message
    return messages


def field_line(field, depth):
    # A field may say only in which versions it is tagged.
    versions = field.get("versions", field.get("taggedVersions"))
    words = [field["name"], field["type"], versions]
    if "nullableVersions" in field:
        words.append(f"null={field['nullableVersions']}")
    if "tag" in field:
        words.append(f"tag={field['tag']}:{field['taggedVersions']}")
    if "default" in field:
        default = "null" if field["default"] is None else str(field["default"])
        if isinstance(field["default"], bool):
            default = default.lower()
        if " " in default:
            raise SystemExit(f"default of {field['name']} has a space: {default!r}")
        # An empty string is what every string starts as.
        if default:
            words.append(f"default={default}")
    if field.get("ignorable") in (True, "true"):
        words.append("ignorable")
    if "entityType" in field:
        words.append(f"entity={field['entityType']}")
    known = {"name", "type", "versions", "nullableVersions", "tag", "taggedVersions", "default", "ignorable",
             "entityType", "about", "fields", "mapKey", "zeroCopy"}
    if extra := set(field) - known:
        raise SystemExit(f"field {field['name']} says what this script does not know: {extra}")
    print("  " * depth + " ".join(words))
    for inner in field.get("fields", []):
        field_line(inner, depth + 1)


def message_lines(message):
    known = {"apiKey", "type", "name", "validVersions", "flexibleVersions", "latestVersionUnstable", "listeners",
             "fields", "commonStructs"}
    if extra := set(message) - known:
        raise SystemExit(f"{message['name']} says what this script does not know: {extra}")
    kind = message["type"].removeprefix("coordinator-")
    print(f"{kind} {message['validVersions']} flexible={message.get('flexibleVersions', 'none')}")
    for field in message.get("fields", []):
        field_line(field, 1)
    for struct in message.get("commonStructs", []):
        print(f"  struct {struct['name']}")
        for field in struct["fields"]:
            field_line(field, 2)


def main():
    apis = load(sys.argv[1], "Request|Response")
    if apis:
        print_apis(apis)
    else:
        print_records(load(sys.argv[1], "Key|Value"))


def print_apis(messages):
    print(HEAD, end="")
    for key in sorted({key for key, _ in messages}):
        request = messages[key, "request"]
        valid = request["validVersions"]
        if request.get("latestVersionUnstable"):
            first, last = (int(version) for version in valid.split("-"))
            valid = f"{first}-{last - 1}"
        print(f"\napi {key} {request['name'].removesuffix('Request')} {valid}")
        message_lines(request)
        message_lines(messages[key, "response"])


def print_records(messages):
    print(RECORDS_HEAD, end="")
    for key in sorted({key for key, _ in messages}):
        value = messages[key, "coordinator-value"]
        print(f"\nrecord {key} {value['name'].removesuffix('Value')} {value['validVersions']}")
        message_lines(messages[key, "coordinator-key"])
        message_lines(value)


main()
