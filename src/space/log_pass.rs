//! Reads a whole log through the engine without writing anything: bounded in memory, parallel, and it can be stopped.

use std::sync::Arc;

use super::log::reader::{Batch, Cursor, LogReader};
use super::log::source::WalSource;
use super::options::MigrateOptions;
use super::policy::Corruption;
use crate::migration::Error;
use crate::pipeline::{Control, Converter, Ended, pass};

/// Shows every batch of `source` to `look`, on several threads, and gives what it makes of them to `take` in order.
pub(super) fn scan<T: Send>(
    source: &Arc<WalSource>,
    corruption: Corruption,
    options: &MigrateOptions,
    control: &Control<'_>,
    look: impl Fn(&Batch) -> Result<T, Error> + Sync,
    take: impl FnMut(T) -> Result<(), Error> + Send,
) -> Result<Ended, Error> {
    let reader = LogReader::new(source.clone(), Cursor::default(), corruption, options.batch_limits());
    pass(reader, &Look(look), &options.run.engine(), control, take)
}

struct Look<F>(F);

impl<T: Send, F: Fn(&Batch) -> Result<T, Error> + Sync> Converter for Look<F> {
    type Batch = Batch;
    type Output = T;
    type Scratch = ();
    type Error = Error;

    fn convert(&self, _scratch: &mut (), batch: Batch) -> Result<T, Error> {
        (self.0)(&batch)
    }
}
