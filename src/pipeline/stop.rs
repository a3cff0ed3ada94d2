//! The request to stop, seen by every thread of a run.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::durable::looked;

/// How long a blocked thread sleeps between two looks at the token.
pub(super) const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// A request to stop that is made once and never withdrawn. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct StopToken {
    flag: Arc<AtomicBool>,
    parent: Option<Arc<AtomicBool>>,
}

impl StopToken {
    /// A token that nobody has requested yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks for a stop. Safe to call from a signal handler.
    pub fn request(&self) {
        self.flag.store(true, Ordering::Release);
    }

    /// True once a stop was requested.
    pub fn is_requested(&self) -> bool {
        looked();
        self.flag.load(Ordering::Acquire) || self.parent.as_ref().is_some_and(|parent| parent.load(Ordering::Acquire))
    }

    /// The same question for the room of the disks.
    pub fn check(&self) -> impl Fn() -> bool + '_ {
        || self.is_requested()
    }

    /// What [`request`](Self::request) sets, for a signal handler that stores `true` itself.
    pub fn flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.flag)
    }

    /// A token that is requested when this one is, and can be requested without this one knowing. One level deep.
    pub fn child(&self) -> Self {
        debug_assert!(self.parent.is_none(), "a child has no children");
        Self { flag: Arc::default(), parent: Some(self.flag()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clones_share_the_request() {
        let token = StopToken::new();
        let clone = token.clone();
        assert!(!clone.is_requested());
        token.request();
        assert!(clone.is_requested());
    }

    #[test]
    fn a_child_follows_its_parent_but_not_the_other_way_round() {
        let parent = StopToken::new();
        let (aborted, follower) = (parent.child(), parent.child());
        aborted.request();
        assert!(aborted.is_requested() && !parent.is_requested() && !follower.is_requested());
        parent.request();
        assert!(follower.is_requested());
    }
}
