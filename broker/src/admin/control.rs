//! Orders to a broker that runs. Whoever reaches this port may give them.

use super::{LogFilter, Refused};
use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use axum::routing::get;

/// Of an order.
const MAX_BODY_BYTES: usize = 4096;

type Answer = (StatusCode, String);

pub fn router(filter: Option<LogFilter>) -> Router {
    Router::new()
        .route("/log-level", get(log_level).put(set_log_level))
        .fallback(async || (StatusCode::NOT_FOUND, "there is /log-level\n"))
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .with_state(filter)
}

/// What is in effect.
async fn log_level(State(filter): State<Option<LogFilter>>) -> Answer {
    match filter {
        Some(filter) => (StatusCode::OK, format!("{}\n", filter.in_effect())),
        None => fixed(),
    }
}

/// The body is a filter; the answer is what is in effect now.
async fn set_log_level(State(filter): State<Option<LogFilter>>, body: String) -> Answer {
    let Some(filter) = filter else {
        return fixed();
    };
    let before = filter.in_effect();
    match filter.set(&body) {
        Ok(()) => {
            let now = filter.in_effect();
            tracing::info!(before, now, "log level changed");
            (StatusCode::OK, format!("{now}\n"))
        }
        Err(refused @ Refused::Gone) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{refused}\n")),
        Err(refused) => (StatusCode::BAD_REQUEST, format!("{refused}\n")),
    }
}

fn fixed() -> Answer {
    let why = "this program writes its log without a filter that can be changed\n";
    (StatusCode::NOT_IMPLEMENTED, why.to_owned())
}
