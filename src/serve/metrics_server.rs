//! Metrics over HTTP while a command runs: `--metrics-addr`.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread::Builder;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use crossbeam_channel::{Receiver, Sender, bounded};
use tokio::sync::oneshot;

use super::connections::Connections;
use super::guard::{AllowedHosts, guard};
use crate::migration::Error;
use crate::observe::metrics::{Format, MetricsPrefix, Scraped, text};
use crate::pipeline::{NoThread, StopToken};

/// Name of the thread that answers.
const NAME: &str = "haul-metrics";
/// How long the end of the process waits for answers that are under way.
const END_PATIENCE: Duration = Duration::from_secs(1);
/// How often somebody who waits for a last scrape looks for a stop.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);

/// Returns what a scrape shows.
pub type Source = Arc<dyn Fn() -> Scraped + Send + Sync>;

/// Answers scrapes until it is dropped.
#[derive(Debug)]
pub struct MetricsServer {
    address: SocketAddr,
    has_ended: Arc<AtomicBool>,
    /// Filled by a scrape that began after the end.
    scraped: Receiver<()>,
    stop: Option<oneshot::Sender<()>>,
    /// Closed by the thread when it is gone.
    gone: Receiver<()>,
}

/// What an answer needs.
#[derive(Clone)]
struct Shared {
    source: Source,
    prefix: MetricsPrefix,
    has_ended: Arc<AtomicBool>,
    scraped: Sender<()>,
}

impl MetricsServer {
    /// Answers on a bound listener, on a thread of its own. Requests may name addresses and these hosts.
    ///
    /// # Errors
    /// If the system gives no thread, or the runtime no place for the listener.
    pub fn start(
        listener: TcpListener,
        hosts: AllowedHosts,
        prefix: MetricsPrefix,
        source: Source,
    ) -> Result<Self, Error> {
        let failed = |error| Error::Program {
            what: format!("cannot serve metrics: {error}"),
            next: "run without --metrics-addr, or raise the limit of open files (ulimit -n)".into(),
            temporary: false,
        };
        let address = listener.local_addr().map_err(failed)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let connections = runtime.block_on(async { Connections::new(listener) }).map_err(failed)?;
        let (stop, stopped) = oneshot::channel();
        let (scraped_sender, scraped) = bounded(1);
        let (gone_sender, gone) = bounded(1);
        let has_ended = Arc::new(AtomicBool::new(false));
        let shared = Shared { source, prefix, has_ended: has_ended.clone(), scraped: scraped_sender };
        let routes = routes(shared).layer(from_fn_with_state(hosts, guard));
        let answer = move || {
            let until = async { drop(stopped.await) };
            // It returns no error but those of the listener, which it bears with.
            let _ = runtime.block_on(async { axum::serve(connections, routes).with_graceful_shutdown(until).await });
            drop(gone_sender);
        };
        let spawned = Builder::new().name(NAME.into()).spawn(answer);
        spawned.map_err(|source| NoThread { name: NAME, source })?;
        Ok(Self { address, has_ended, scraped, stop: Some(stop), gone })
    }

    /// Returns where it listens, with the port that the system chose.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits after the end of the work until the final state was scraped once: at most `time`, and no longer than until a
    /// stop is requested.
    pub fn linger(&self, time: Duration, stop: &StopToken) {
        self.has_ended.store(true, SeqCst);
        // A time without an end is none.
        let until = Instant::now().checked_add(time);
        while !stop.is_requested() && until.is_none_or(|until| Instant::now() < until) {
            if self.scraped.recv_timeout(LOOK_INTERVAL).is_ok() {
                return;
            }
        }
    }
}

impl Drop for MetricsServer {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            // Nobody listens any more if the thread is gone.
            let _ = stop.send(());
        }
        // A client that does not read its answer is left behind.
        let _ = self.gone.recv_timeout(END_PATIENCE);
    }
}

fn routes(shared: Shared) -> Router {
    Router::new().route("/metrics", get(metrics)).route("/healthz", get(|| async { "ok\n" })).with_state(shared)
}

async fn metrics(State(shared): State<Shared>, headers: HeaderMap) -> Response {
    let is_last = shared.has_ended.load(SeqCst);
    let answer = answer(&(shared.source)(), &shared.prefix, &headers);
    if is_last {
        // It is full if another scrape was the first.
        let _ = shared.scraped.try_send(());
    }
    answer
}

/// Returns the answer to a scrape, in the format that the client asks for.
pub fn answer(scraped: &Scraped, prefix: &MetricsPrefix, headers: &HeaderMap) -> Response {
    let accepts = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let format = Format::accepted(&accepts.collect::<Vec<_>>().join(","));
    ([(header::CONTENT_TYPE, format.content_type())], text(scraped, prefix.as_str(), format)).into_response()
}

#[cfg(test)]
mod tests {
    use std::io::{ErrorKind, Read, Write};
    use std::net::TcpStream;
    use std::thread;

    use super::*;
    use crate::observe::metrics::RunMetrics;
    use crate::serve::connections::{CONNECTIONS_MAX, bind};

    fn server() -> MetricsServer {
        let listener = bind(([127, 0, 0, 1], 0).into(), false).expect("a port");
        let run =
            RunMetrics { kind: "cas".into(), migration: "v2".into(), checkpoints: Some(7), ..RunMetrics::default() };
        let source = move || [run.clone()].into_iter().collect();
        let hosts = Arc::new(["ops.example".to_owned()]);
        MetricsServer::start(listener, hosts, MetricsPrefix::default(), Arc::new(source)).expect("a thread")
    }

    fn ask(server: &MetricsServer, request: &str) -> String {
        let mut stream = TcpStream::connect(server.address()).expect("a connection");
        stream.write_all(request.as_bytes()).expect("a request");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        answer
    }

    fn get_of(server: &MetricsServer, path: &str, more: &str) -> String {
        ask(server, &format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{more}\r\n"))
    }

    #[test]
    fn metrics_are_answered_in_the_wanted_format() {
        let server = server();
        let classic = get_of(&server, "/metrics", "");
        assert!(classic.starts_with("HTTP/1.1 200 "), "{classic}");
        assert!(classic.contains("content-type: text/plain; version=0.0.4"), "{classic}");
        assert!(
            classic.contains(r#"haul_migration_checkpoint_writes_total{kind="cas",migration="v2"} 7"#),
            "{classic}"
        );
        let open = get_of(&server, "/metrics", "Accept: text/plain;q=0.1\r\nAccept: application/openmetrics-text\r\n");
        assert!(open.contains("content-type: application/openmetrics-text") && open.ends_with("# EOF\n"), "{open}");
    }

    #[test]
    fn there_are_two_pages_and_two_methods() {
        let server = server();
        assert!(get_of(&server, "/healthz", "").ends_with("ok\n"));
        assert!(get_of(&server, "/", "").starts_with("HTTP/1.1 404 "));
        let of = |method: &str| {
            ask(&server, &format!("{method} /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"))
        };
        let head = of("HEAD");
        assert!(head.starts_with("HTTP/1.1 200 ") && head.ends_with("\r\n\r\n"), "{head}");
        for method in ["POST", "PUT", "DELETE", "OPTIONS"] {
            assert!(of(method).starts_with("HTTP/1.1 405 "), "{method}");
        }
    }

    #[test]
    fn a_scrape_names_an_address_or_an_allowed_host() {
        let server = server();
        let of = |host: &str| ask(&server, &format!("GET /metrics HTTP/1.1\r\n{host}Connection: close\r\n\r\n"));
        for host in ["Host: 127.0.0.1:9100\r\n", "Host: ops.example:9100\r\n"] {
            assert!(of(host).starts_with("HTTP/1.1 200 "), "{host}");
        }
        for host in ["Host: evil.example\r\n", ""] {
            let refused = of(host);
            assert!(refused.starts_with("HTTP/1.1 4") && !refused.contains("haul_"), "{host}: {refused}");
            assert!(host.is_empty() || refused.starts_with("HTTP/1.1 421 "), "{refused}");
        }
        let headers = of("Host: localhost\r\n");
        for header in ["content-security-policy: default-src 'none'", "cache-control: no-store", "nosniff"] {
            assert!(headers.contains(header), "{header}: {headers}");
        }
    }

    #[test]
    fn a_linger_ends_with_the_first_scrape_after_the_end() {
        let server = server();
        get_of(&server, "/metrics", "");
        thread::scope(|scope| {
            // Far more than a test may take: it ends because of the scrape.
            let lingers = scope.spawn(|| server.linger(Duration::from_secs(3600), &StopToken::new()));
            while !lingers.is_finished() {
                get_of(&server, "/metrics", "");
            }
        });
    }

    #[test]
    fn a_linger_ends_with_a_stop_or_its_time() {
        let server = server();
        let stop = StopToken::new();
        stop.request();
        server.linger(Duration::from_secs(3600), &stop);
        server.linger(Duration::ZERO, &StopToken::new());
    }

    #[test]
    fn a_client_that_sends_nothing_does_not_hold_up_the_others_or_the_end() {
        let server = server();
        let mut silent = TcpStream::connect(server.address()).unwrap();
        silent.write_all(b"GET /metrics HTTP/1.1\r\nHo").unwrap();
        assert!(get_of(&server, "/healthz", "").ends_with("ok\n"));
        drop(server);
        // The server is gone, so the connection ends.
        let mut rest = Vec::new();
        let read = silent.read_to_end(&mut rest);
        assert!(read.is_ok() || read.is_err_and(|error| error.kind() == ErrorKind::ConnectionReset));
    }

    #[test]
    fn a_thousand_connections_are_borne() {
        let server = server();
        // When the queue of the system is full as well, no further client gets in.
        let patience = Duration::from_millis(200);
        let client = |_| TcpStream::connect_timeout(&server.address(), patience).ok();
        let crowd: Vec<_> = (0..1000).map_while(client).collect();
        assert!(crowd.len() > CONNECTIONS_MAX);
        drop(crowd);
        assert!(get_of(&server, "/metrics", "").contains("checkpoint_writes_total"));
    }
}
