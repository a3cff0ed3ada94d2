//! The verbs of a noun.

/// One command for each verb: its documentation, its name and its type. Every command has `output: OutputArgs` and
/// `run(self) -> anyhow::Result<u8>`. `@"feature"` before a name leaves the verb out of builds without that cargo feature.
/// Behind a semicolon stand nouns below this one, which have verbs of their own.
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
            /// How the result is to be shown.
            pub fn output(&self) -> $crate::cli::arguments::OutputArgs {
                match self {
                    $($(#[cfg(feature = $feature)])? Self::$verb(command) => command.output,)+
                    $($(Self::$noun(verb) => verb.output(),)+)?
                }
            }

            /// Does it and returns the exit code.
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
