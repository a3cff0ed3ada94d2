//! Passes that commit nothing: a dry run, a count, a search.

use std::marker::PhantomData;

use super::control::{Control, Ended, Options};
use super::engine::run;
use super::stages::{Commit, Converter, Reader, Writer};
use super::threads::NoThread;

/// Sends everything that `reader` finds through `converter` and gives each output to `take`, in the order of the source.
///
/// There is nothing to commit: a pass that is stopped starts again from the beginning.
pub fn pass<R, C, E>(
    reader: R,
    converter: &C,
    options: &Options,
    control: &Control<'_>,
    take: impl FnMut(C::Output) -> Result<(), E> + Send,
) -> Result<Ended, E>
where
    R: Reader<Error = E>,
    C: Converter<Batch = R::Batch, Error = E>,
    E: From<NoThread> + Send,
{
    // Commits that do nothing would still wake the writer and be reported as checkpoints.
    let options =
        Options { checkpoint_interval_records: u64::MAX, checkpoint_interval_ms_max: u64::MAX, ..options.clone() };
    run(reader, converter, &mut Take { take, types: PhantomData }, &options, control)
}

/// Passes what it is given on to a closure.
struct Take<F, T, E> {
    take: F,
    types: PhantomData<fn(T) -> E>,
}

impl<F, T, E> Writer for Take<F, T, E>
where
    F: FnMut(T) -> Result<(), E> + Send,
    T: Send,
    E: Send,
{
    type Output = T;
    type Error = E;
    type Commit = Nothing<E>;
    const MIGRATES: bool = false;

    fn write(&mut self, output: T) -> Result<(), E> {
        (self.take)(output)
    }

    fn commit_point(&mut self) -> Result<Nothing<E>, E> {
        Ok(Nothing(PhantomData))
    }
}

/// The commit of a writer that keeps nothing.
struct Nothing<E>(PhantomData<fn() -> E>);

impl<E: Send> Commit for Nothing<E> {
    type Error = E;

    fn commit(self) -> Result<(), E> {
        Ok(())
    }
}
