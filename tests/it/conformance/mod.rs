mod cas;
mod codec;
mod manifest;
mod manifest_cli;
mod space;
