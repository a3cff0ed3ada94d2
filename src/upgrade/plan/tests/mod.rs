//! Plans of sets in every state that phase 0 meets.

mod blocked;
mod planned;
mod scene;
