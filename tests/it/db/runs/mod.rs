//! What a run does besides applying files one by one.

mod hooks;
mod placeholders;
mod repeatable;
mod seeds;
mod single_transaction;
