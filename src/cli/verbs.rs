//! The verbs of a noun.

/// One command for each verb: its documentation, its name and its type. Every command has `output: OutputArgs` and
/// `run(self) -> anyhow::Result<u8>`.
macro_rules! verbs {
    (
        $(#[$enum_doc:meta])* pub enum $name:ident;
        $($(#[$doc:meta])* $verb:ident($command:ty)),+ $(,)?
    ) => {
        $(#[$enum_doc])*
        #[derive(clap::Subcommand)]
        pub enum $name { $($(#[$doc])* $verb($command)),+ }

        impl $name {
            /// How the result is to be shown.
            pub fn output(&self) -> $crate::cli::arguments::OutputArgs {
                match self { $(Self::$verb(command) => command.output),+ }
            }

            /// Does it and returns the exit code.
            pub fn run(self) -> anyhow::Result<u8> {
                match self { $(Self::$verb(command) => command.run()),+ }
            }
        }
    };
}
pub(super) use verbs;
