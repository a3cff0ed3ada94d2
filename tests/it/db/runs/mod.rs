//! What a run does besides applying files one by one.

mod hooks;
mod placeholders;
mod single_transaction;
