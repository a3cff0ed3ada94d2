//! Metrics of runs: in a file, over HTTP, and what is written about them.

mod documents;
mod programs;
mod runs;
mod scrape;
