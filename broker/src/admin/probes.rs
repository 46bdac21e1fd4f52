//! What monitoring asks. Nothing here changes anything.

use super::{Admin, Readiness};
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use std::sync::Arc;

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

pub fn router(admin: Arc<Admin>) -> Router {
    Router::new()
        .route("/metrics", get(metrics))
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(readyz))
        .route("/version", get(version))
        .fallback(async || {
            let pages = "there are /metrics, /healthz, /readyz and /version\n";
            (StatusCode::NOT_FOUND, pages)
        })
        .with_state(admin)
}

async fn readyz(State(admin): State<Arc<Admin>>) -> (StatusCode, String) {
    match admin.readiness() {
        Readiness::Serving => (StatusCode::OK, "serving\n".to_owned()),
        Readiness::Starting(at) => (StatusCode::SERVICE_UNAVAILABLE, format!("starting: {at}\n")),
        Readiness::Stopping => (StatusCode::SERVICE_UNAVAILABLE, "stopping\n".to_owned()),
    }
}

async fn version() -> Response {
    let json = concat!(
        "{\"name\":\"millrace\",\"version\":\"",
        env!("CARGO_PKG_VERSION"),
        "\"}\n"
    );
    ([(header::CONTENT_TYPE, "application/json")], json).into_response()
}

async fn metrics(State(admin): State<Arc<Admin>>) -> Response {
    let turn = admin.scrapes.clone().acquire_owned().await;
    // On a thread that may wait. The turn goes along: a client that leaves does not end what it has begun.
    let page = tokio::task::spawn_blocking(move || {
        let page = admin.page();
        drop(turn);
        page
    });
    match page.await {
        Ok(Ok(page)) => ([(header::CONTENT_TYPE, OPEN_METRICS)], page).into_response(),
        Ok(Err(_)) | Err(_) => {
            tracing::error!("metrics cannot be written");
            (
                StatusCode::INTERNAL_SERVER_ERROR,
                "metrics cannot be written\n",
            )
                .into_response()
        }
    }
}
