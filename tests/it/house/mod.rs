//! The rules of the source tree: which way imports go, how large a folder may be, which words are not used.

mod circles;
mod folders;
mod imports;
mod layers;
mod paths;
mod sources;
mod words;
