//! Which address is answered by what.

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, header};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::events::events;
use super::guard::guard;
use super::list_page::{Wanted, list_page};
use super::migration_page::migration_page;
use super::report_file::report_json;
use super::site::{Site, not_found};
use super::snapshot::json;
#[cfg(feature = "manifest")]
use super::versions_page::versions_page;
use crate::observe::metrics::Format;

const STYLE: &str = include_str!("assets/haul.css");
const SCRIPT: &str = include_str!("assets/haul.js");
/// How long a browser may keep the style sheet and the script, in the words of HTTP.
const KEPT: &str = "max-age=300";

/// Returns all routes.
pub fn routes(site: Site) -> Router {
    let routes = Router::new()
        .route("/", get(list))
        .route("/m/{id}", get(migration))
        .route("/m/{id}/report.json", get(report_json))
        .route("/api/v1/migrations", get(api_list))
        .route("/api/v1/migrations/{id}", get(api_migration))
        .route("/events", get(events))
        .route("/metrics", get(metrics))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/assets/haul.css", get(|| asset("text/css; charset=utf-8", STYLE)))
        .route("/assets/haul.js", get(|| asset("text/javascript; charset=utf-8", SCRIPT)));
    #[cfg(feature = "manifest")]
    let routes = routes.route("/schemas/versions", get(versions));
    routes.fallback(|| async { not_found() }).layer(from_fn_with_state(site.hosts.clone(), guard)).with_state(site)
}

async fn asset(content_type: &'static str, text: &'static str) -> Response {
    ([(header::CONTENT_TYPE, content_type), (header::CACHE_CONTROL, KEPT)], text).into_response()
}

fn html(page: maud::Markup) -> Response {
    ([(header::CONTENT_TYPE, "text/html; charset=utf-8")], page.into_string()).into_response()
}

fn json_answer(document: Bytes) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], document).into_response()
}

async fn list(State(site): State<Site>, RawQuery(query): RawQuery) -> Response {
    html(list_page(&site.snapshot(), &Wanted::of(query.as_deref())))
}

async fn migration(State(site): State<Site>, Path(id): Path<String>) -> Response {
    let snapshot = site.snapshot();
    snapshot.find(&id).map_or_else(not_found, |found| html(migration_page(&snapshot, found)))
}

async fn api_list(State(site): State<Site>) -> Response {
    json_answer(site.snapshot().list())
}

async fn api_migration(State(site): State<Site>, Path(id): Path<String>) -> Response {
    site.snapshot().find(&id).map_or_else(not_found, |found| json_answer(json(found)))
}

async fn metrics(State(site): State<Site>, headers: HeaderMap) -> Response {
    let accepts = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let format = Format::accepted(&accepts.collect::<Vec<_>>().join(","));
    let text = site.snapshot().metrics(&site.prefix, format);
    ([(header::CONTENT_TYPE, format.content_type()), (header::VARY, "Accept")], text).into_response()
}

#[cfg(feature = "manifest")]
async fn versions(State(site): State<Site>) -> Response {
    html(versions_page(&site.versions.newest()))
}
