#![allow(clippy::unwrap_used)]
use super::*;

const PUSH: Push = Push {
    subscription_id: 0,
    is_terminating: false,
    is_compression_known: true,
    bytes: 10,
    max_bytes: 100,
};

fn state(subscriptions: &[(&str, &[(&str, &str)])]) -> State {
    let mut state = State::new();
    for (name, pairs) in subscriptions {
        let settings = ClientMetricsSettings::from_stored(pairs.iter().copied());
        let selectors = settings.selectors();
        let compiled = Compiled {
            settings,
            selectors,
        };
        state.subscriptions.insert((*name).to_owned(), compiled);
    }
    state
}

fn client(id: u128) -> Client {
    Client {
        client_id: format!("client-{id}"),
        instance: Uuid::from_u128(id),
        software_name: "apache-kafka-java".to_owned(),
        ..Client::default()
    }
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

#[test]
fn a_client_is_asked_for_what_all_that_match_it_want() {
    let state = state(&[
        ("a", &[("metrics", "x,y"), ("interval.ms", "2000")]),
        (
            "b",
            &[
                ("metrics", "y,z"),
                ("interval.ms", "1000"),
                ("match", "client_id=client-1"),
            ],
        ),
        (
            "c",
            &[
                ("metrics", "*"),
                (
                    "match",
                    "client_id=client-1,client_software_name=librdkafka",
                ),
            ],
        ),
    ]);
    let told = state.subscription(&client(1));
    assert_eq!(
        (&*told.metrics, told.interval_ms),
        (&["x".to_owned(), "y".to_owned(), "z".to_owned()][..], 1_000)
    );
    let other = state.subscription(&client(2));
    assert_eq!(
        (&*other.metrics, other.interval_ms),
        (&["x".to_owned(), "y".to_owned()][..], 2_000)
    );
    let librdkafka = Client {
        software_name: "librdkafka".to_owned(),
        ..client(1)
    };
    assert_eq!(&*state.subscription(&librdkafka).metrics, ["*"]);
    assert_ne!(told.id, state.subscription(&client(2)).id);
    assert_eq!(told.id, state.subscription(&client(1)).id);
}

#[test]
fn who_comes_too_soon_is_put_off() {
    let mut state = state(&[("a", &[("metrics", "x"), ("interval.ms", "1000")])]);
    let (start, who) = (Instant::now(), client(1));
    let id = state.ask(start, &who).unwrap().id;
    assert_eq!(state.ask(start + ms(999), &who), Err(Refusal::TooSoon));
    let push = Push {
        subscription_id: id,
        ..PUSH
    };
    state.push(start + ms(1), &who, &push).unwrap();
    assert_eq!(
        state.push(start + ms(1_000), &who, &push),
        Err(Refusal::TooSoon)
    );
    state.push(start + ms(1_001), &who, &push).unwrap();
    let last = Push {
        is_terminating: true,
        ..push
    };
    state.push(start + ms(1_002), &who, &last).unwrap();
    assert_eq!(
        state.push(start + ms(9_000), &who, &push),
        Err(Refusal::Terminated)
    );
}

#[test]
fn what_does_not_fit_is_refused_and_may_be_asked_for_again() {
    let mut state = state(&[("a", &[("metrics", "x"), ("interval.ms", "1000")])]);
    let (start, who) = (Instant::now(), client(1));
    let id = state.ask(start, &who).unwrap().id;
    let push = Push {
        subscription_id: id,
        ..PUSH
    };
    let wrong = Push {
        subscription_id: id.wrapping_add(1),
        ..push
    };
    assert_eq!(
        state.push(start, &who, &wrong),
        Err(Refusal::UnknownSubscription)
    );
    assert_eq!(state.ask(start, &who).unwrap().id, id, "at once");
    let unknown = Push {
        is_compression_known: false,
        ..push
    };
    assert_eq!(
        state.push(start + ms(1_000), &who, &unknown),
        Err(Refusal::UnsupportedCompression)
    );
    let large = Push { bytes: 101, ..push };
    assert_eq!(
        state.push(start + ms(2_000), &who, &large),
        Err(Refusal::TooLarge)
    );
    assert_eq!(
        state.push(start, &client(2), &push),
        Err(Refusal::UnknownSubscription),
        "of nobody known"
    );
}

#[test]
fn who_is_silent_is_forgotten_with_what_it_pushed() {
    let telemetry = Telemetry(Mutex::new(state(&[(
        "a",
        &[("metrics", "x"), ("interval.ms", "30000")],
    )])));
    let (start, who, image) = (Instant::now(), client(1), Image::default());
    telemetry.state().version = Some(image.version);
    let subscription = telemetry.ask(start, &image, &who).unwrap();
    // gauges x and y of 1.0
    let point = [&[0x0a, 9, 0x21][..], &1f64.to_le_bytes()].concat();
    let metric = |name: &str| [&[0x0a, 1][..], name.as_bytes(), &[0x2a, 11], &point].concat();
    let mut payload = Vec::new();
    for name in ["x", "y"] {
        let metric = metric(name);
        payload.extend([0x0a, 20, 0x12, 18, 0x12, metric.len() as u8]);
        payload.extend(metric);
    }
    telemetry.keep(&who, &subscription, &payload).unwrap();
    assert!(telemetry.keep(&who, &subscription, &payload[..9]).is_err());
    let shown = telemetry.shown(start + ms(89_000));
    assert_eq!((shown.instances, shown.series.len()), (1, 1), "{shown:?}");
    assert_eq!(
        (&*shown.series[0].metric, shown.series[0].value),
        ("x", 1.0)
    );
    let shown = telemetry.shown(start + ms(96_000));
    assert_eq!((shown.instances, shown.series.len()), (0, 0));
    telemetry.keep(&who, &subscription, &payload).unwrap();
    assert!(
        telemetry.shown(start + ms(200_000)).series.is_empty(),
        "it is not there any more"
    );
}

#[test]
fn there_are_no_more_clients_than_there_is_room_for() {
    let mut state = state(&[]);
    let start = Instant::now();
    for id in 0..MAX_INSTANCES as u128 + 10 {
        state
            .ask(start + ms(id as u64 / 1_000), &client(id))
            .unwrap();
    }
    assert_eq!(state.instances.len(), MAX_INSTANCES);
    let newest = Uuid::from_u128(MAX_INSTANCES as u128 + 9);
    assert!(state.instances.contains_key(&newest));
}

#[test]
fn a_change_of_subscriptions_is_told_at_once() {
    let mut state = state(&[]);
    let (start, who) = (Instant::now(), client(1));
    state.ask(start, &who).unwrap();
    assert_eq!(state.ask(start + ms(5), &who), Err(Refusal::TooSoon));
    state.generation += 1;
    assert!(state.ask(start + ms(6), &who).is_ok());
}
