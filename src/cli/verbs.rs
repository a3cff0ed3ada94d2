//! The commands of a room.

/// Declares the commands of a room: documentation, name and type of each. A command has `output: OutputArgs` and
/// `run(self) -> anyhow::Result<u8>`. `@"feature"` before a name leaves the command out of builds without that cargo
/// feature. Groups of further commands follow a semicolon.
macro_rules! verbs {
    (
        $(#[$enum_doc:meta])* pub enum $name:ident;
        $($(#[$doc:meta])* $(@ $feature:literal)? $verb:ident($command:ty)),+ $(,)?
        $(; $($(#[$noun_doc:meta])* $noun:ident($verbs:ty)),+ $(,)?)?
    ) => {
        $(#[$enum_doc])*
        #[derive(clap::Subcommand)]
        pub enum $name {
            $($(#[cfg(feature = $feature)])? $(#[$doc])* $verb($command),)+
            $($($(#[$noun_doc])* #[command(subcommand)] $noun($verbs),)+)?
        }

        impl $name {
            /// Returns how to show the result.
            pub fn output(&self) -> $crate::cli::arguments::OutputArgs {
                match self {
                    $($(#[cfg(feature = $feature)])? Self::$verb(command) => command.output,)+
                    $($(Self::$noun(verb) => verb.output(),)+)?
                }
            }

            /// Runs the command and returns the exit code.
            pub fn run(self) -> anyhow::Result<u8> {
                match self {
                    $($(#[cfg(feature = $feature)])? Self::$verb(command) => command.run(),)+
                    $($(Self::$noun(verb) => verb.run(),)+)?
                }
            }
        }
    };
}
pub(super) use verbs;
