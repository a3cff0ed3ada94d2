//! What holds for every request: which host it may name, which method it may have, and the headers of every answer.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

/// Nothing but what this server itself serves, and no script or style in a page.
const CONTENT_POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; \
                              img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
const HEADERS: [(HeaderName, &str); 3] = [
    (header::CONTENT_SECURITY_POLICY, CONTENT_POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
];

/// Host names that requests may have besides addresses.
pub type AllowedHosts = Arc<[String]>;

/// Passes a request on if it may be answered, and adds the headers.
pub async fn guard(State(hosts): State<AllowedHosts>, request: Request, next: Next) -> Response {
    let refused = refusal(&request, &hosts);
    let mut answer = match refused {
        Some(refused) => refused,
        None => next.run(request).await,
    };
    let headers = answer.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    answer
}

fn refusal(request: &Request, allowed: &[String]) -> Option<Response> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let allow = [(header::ALLOW, "GET, HEAD")];
        return Some((StatusCode::METHOD_NOT_ALLOWED, allow, "GET and HEAD only\n").into_response());
    }
    let in_address = request.uri().authority().map(|authority| authority.as_str());
    let named = request.headers().get(header::HOST).map(|host| host.to_str().unwrap_or_default());
    let is_allowed = [in_address, named].into_iter().flatten().all(|host| may_be_named(host, allowed));
    let is_named = in_address.is_some() || named.is_some();
    // Else a page of another site whose name leads to this computer could read everything here.
    (!is_named || !is_allowed)
        .then(|| (StatusCode::MISDIRECTED_REQUEST, "this host name is not served; see --allow-host\n").into_response())
}

/// Returns true if a request may name this host: an address, `localhost`, or what the command line allows.
fn may_be_named(host: &str, allowed: &[String]) -> bool {
    let name = without_port(host);
    let address = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    address.parse::<IpAddr>().is_ok()
        || name.eq_ignore_ascii_case("localhost")
        || allowed.iter().any(|allowed| allowed.eq_ignore_ascii_case(name))
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) && !name.is_empty() => name,
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_allowed_names_are_hosts_and_nothing_else_is() {
        let allowed = ["ops.example".to_owned()];
        for host in ["127.0.0.1", "127.0.0.1:7480", "[::1]:7480", "[::1]", "localhost:1", "LOCALHOST", "Ops.Example:80"]
        {
            assert!(may_be_named(host, &allowed), "{host}");
        }
        for host in ["", ":80", "evil.example", "localhost.evil.example:7480", "127.0.0.1.evil.example", "a@127.0.0.1"]
        {
            assert!(!may_be_named(host, &allowed), "{host}");
        }
    }
}
