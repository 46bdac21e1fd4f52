//! What `--topic`, `--from-file`, `--export`, `--to-datetime` and `--by-duration` are written in. Pure.

use jiff::{Span, SpanRelativeTo, Timestamp, Unit};
use millrace_client::TopicPartition;
use std::collections::BTreeMap;

/// New offsets, by group.
pub type Plan = BTreeMap<String, BTreeMap<TopicPartition, i64>>;

/// `topic:0,1,2`
pub fn partitions(argument: &str) -> Result<Vec<TopicPartition>, String> {
    let mut parts = argument.split(':');
    let (Some(topic), Some(ids), None) = (parts.next(), parts.next(), parts.next()) else {
        return Err(format!(
            "Invalid topic arg '{argument}', expected topic name and partitions"
        ));
    };
    let parsed = ids.split(',').map(|id| match id.parse() {
        Ok(id) => Ok(TopicPartition::new(topic, id)),
        Err(_) => Err(format!(
            "Invalid partition '{id}' specified in topic arg '{argument}''"
        )),
    });
    parsed.collect()
}

/// Milliseconds since the epoch. Without a time zone it is UTC.
pub fn datetime(text: &str) -> Result<i64, String> {
    let Some((_, time)) = text.split_once('T') else {
        return Err("java.text.ParseException: Error parsing timestamp. It does not contain a 'T' according to ISO8601 format".to_owned());
    };
    let zoned = match time.contains(['+', '-', 'Z']) {
        true => text.to_owned(),
        false => format!("{text}Z"),
    };
    match zoned.parse::<Timestamp>() {
        Ok(at) => Ok(at.as_millisecond()),
        Err(_) => Err(format!(
            "java.text.ParseException: Unparseable date: \"{zoned}\""
        )),
    }
}

/// Milliseconds of `PnDTnHnMnS`; a day has 24 hours.
pub fn duration_ms(text: &str) -> Result<i64, String> {
    let invalid = || "Text cannot be parsed to a Duration".to_owned();
    // Java's has a sign for each number; ISO 8601 has one for all.
    if !text.trim_start_matches(['-', '+']).starts_with(['P', 'p']) {
        return Err(invalid());
    }
    let (sign, text) = match text.replacen("P-", "-P", 1) {
        text if text.starts_with('-') => (-1, text[1..].to_owned()),
        text => (1, text.trim_start_matches('+').to_owned()),
    };
    let span: Span = text.parse().map_err(|_| invalid())?;
    if span.get_years() != 0 || span.get_months() != 0 || span.get_weeks() != 0 {
        return Err(invalid());
    }
    let total = span.total((Unit::Millisecond, SpanRelativeTo::days_are_24_hours()));
    // Within what an offset lookup can mean: jiff's spans end at twenty thousand years.
    Ok(sign * total.map_err(|_| invalid())? as i64)
}

/// A CSV of `topic,partition,offset` for `only_group`, or of `group,topic,partition,offset`.
pub fn parse(csv: &str, only_group: Option<&str>) -> Result<Plan, String> {
    let lines: Vec<Vec<String>> = csv
        .trim_end_matches(['\n', '\r'])
        .split('\n')
        .map(|line| fields(line.trim_end_matches('\r')))
        .collect();
    let mut plan = Plan::new();
    for (number, fields) in lines.iter().enumerate() {
        let fields: Vec<&str> = fields.iter().map(String::as_str).collect();
        let (group, [topic, partition, offset]) = match (fields.as_slice(), only_group) {
            ([topic, partition, offset], Some(group)) => (group, [topic, partition, offset]),
            ([group, topic, partition, offset], _) => (*group, [topic, partition, offset]),
            (other, _) => {
                let expected = match only_group {
                    Some(_) => "topic,partition,offset or group,topic,partition,offset",
                    None => "group,topic,partition,offset",
                };
                return Err(format!(
                    "line {} of the plan has {} fields; write {expected}",
                    number + 1,
                    other.len()
                ));
            }
        };
        let wrong = |what: &str, text: &str| {
            format!("line {} of the plan: {what} is no {text}", number + 1)
        };
        let partition = partition
            .trim()
            .parse()
            .map_err(|_| wrong(partition, "partition"))?;
        let offset = offset.trim().parse().map_err(|_| wrong(offset, "offset"))?;
        let at = TopicPartition::new(*topic, partition);
        plan.entry(group.to_owned()).or_default().insert(at, offset);
    }
    Ok(plan)
}

/// A line's fields; within quotes a comma is a letter, and two quotes are one.
fn fields(line: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut quoted = false;
    let mut letters = line.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '"' if quoted && letters.next_if_eq(&'"').is_some() => push(&mut fields, '"'),
            '"' => quoted = !quoted,
            ',' if !quoted => fields.push(String::new()),
            letter => push(&mut fields, letter),
        }
    }
    fields
}

fn push(fields: &mut [String], letter: char) {
    if let Some(field) = fields.last_mut() {
        field.push(letter);
    }
}

/// As [`parse`] reads it, with the group's column unless there is `only_group`.
pub fn csv(plan: &Plan, only_group: bool) -> String {
    let mut csv = String::new();
    for (group, offsets) in plan {
        for (at, offset) in offsets {
            if !only_group {
                csv.push_str(&quoted(group));
                csv.push(',');
            }
            let topic = quoted(&at.topic);
            csv.push_str(&format!("{topic},{},{offset}\n", at.partition));
        }
    }
    csv
}

/// In quotes when it has to be, and when it is long: the writer of Kafka's tool does not look for a reason in those.
fn quoted(text: &str) -> String {
    const LONG: usize = 24;
    if text.chars().count() <= LONG && text.chars().all(|letter| letter > ',') {
        return text.to_owned();
    }
    format!("\"{}\"", text.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_are_named_after_their_topic() {
        assert_eq!(
            partitions("t:0,2"),
            Ok(vec![
                TopicPartition::new("t", 0),
                TopicPartition::new("t", 2)
            ])
        );
        assert_eq!(
            partitions("t:x"),
            Err("Invalid partition 'x' specified in topic arg 't:x''".to_owned())
        );
        assert_eq!(
            partitions("a:b:c"),
            Err("Invalid topic arg 'a:b:c', expected topic name and partitions".to_owned())
        );
    }

    #[test]
    fn a_time_without_a_zone_is_utc() {
        assert_eq!(datetime("1970-01-01T00:00:01.500"), Ok(1500));
        assert_eq!(datetime("1970-01-01T01:00:00.000+01:00"), Ok(0));
        assert_eq!(datetime("1970-01-01T00:00:01Z"), Ok(1000));
        assert!(datetime("1970-01-01").is_err());
        assert!(datetime("1970-13-01T00:00:00.000").is_err());
    }

    #[test]
    fn durations_are_javas() {
        assert_eq!(duration_ms("PT1H"), Ok(3_600_000));
        assert_eq!(duration_ms("P1DT2M3.5S"), Ok(86_400_000 + 123_500));
        assert_eq!(duration_ms("P-1D"), Ok(-86_400_000));
        for text in ["1h", "P1M", "P1Y", "P1W", "", "x"] {
            assert!(duration_ms(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_plan_is_read_with_and_without_groups() {
        let one = parse("t1,0,3\r\nt2,1,99\n", Some("g")).expect("a plan");
        assert_eq!(one["g"][&TopicPartition::new("t2", 1)], 99);
        let two = parse("a,t,0,1\n\"b,c\",t,0,2\n", Some("g")).expect("a plan");
        assert_eq!(two["b,c"][&TopicPartition::new("t", 0)], 2);
        let check = |text: &str, group, expected: &str| {
            assert_eq!(parse(text, group), Err(expected.to_owned()));
        };
        check(
            "t,0,1",
            None,
            "line 1 of the plan has 3 fields; write group,topic,partition,offset",
        );
        check("t,x,1", Some("g"), "line 1 of the plan: x is no partition");
        check(
            "t,0,1\nt,0,",
            Some("g"),
            "line 2 of the plan:  is no offset",
        );
    }

    #[test]
    fn what_is_exported_can_be_read() {
        let long = "a-topic-with-a-name-that-is-long";
        let mut plan = Plan::new();
        for group in ["g", "a, \"b\""] {
            let offsets = plan.entry(group.to_owned()).or_default();
            offsets.insert(TopicPartition::new(long, 1), 5);
            offsets.insert(TopicPartition::new("t", 0), 7);
        }
        let exported = csv(&plan, false);
        assert!(
            exported.contains(&format!("g,\"{long}\",1,5\ng,t,0,7\n")),
            "{exported}"
        );
        assert_eq!(parse(&exported, None), Ok(plan.clone()));
        plan.remove("a, \"b\"");
        let exported = csv(&plan, true);
        assert_eq!(exported, format!("\"{long}\",1,5\nt,0,7\n"));
        assert_eq!(parse(&exported, Some("g")), Ok(plan));
    }
}
