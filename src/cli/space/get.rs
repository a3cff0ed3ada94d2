//! `haul space get`: one node, from whichever format is live.
//!
//! The JSON document is a [`NodeDocument`]. A node that is not there is an error with exit code 1.

use std::fmt::Write;
use std::sync::Arc;

use anyhow::bail;
use clap::Args;

use super::arguments::{NamedSpaceArgs, PolicyArgs, ReaderArgs};
use crate::cli::arguments::OutputArgs;
use crate::cli::output;
use crate::durable::RealDisk;
use crate::migration::exit;
use crate::space::get::get;
use crate::space::store::node_document::{FloatDocument, NodeDocument};

/// `haul space get`
#[derive(Args)]
pub struct GetCommand {
    /// The id that the node was stored under, or its node id
    #[arg(value_name = "ID|UUID")]
    id: String,
    #[command(flatten)]
    space: NamedSpaceArgs,
    #[command(flatten)]
    policies: PolicyArgs,
    #[command(flatten)]
    reader: ReaderArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

impl GetCommand {
    pub fn run(self) -> anyhow::Result<u8> {
        let paths = self.space.locate()?;
        let found = get(Arc::new(RealDisk), &paths, &self.id, self.policies.policies(), self.reader.reader)?;
        let Some(node) = found else {
            bail!("no live node {:?} in {}", self.id, paths.root().display());
        };
        output::print(self.output.json, &node, || output::text_of(|text| render(text, &node)))?;
        Ok(exit::OK)
    }
}

fn render(text: &mut String, node: &NodeDocument) -> std::fmt::Result {
    let mut line = |name: &str, value: &str| {
        // A text of the store must not move the cursor of a terminal.
        let value: String = value.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
        writeln!(text, "{name:<14} {value}")
    };
    line("node", &node.id.to_string())?;
    line("stored as", &node.episode_id)?;
    line("read from", &node.format)?;
    line("type", node.node_type)?;
    line("content", node.content.as_deref().unwrap_or("none"))?;
    line("created", &node.created_at.at)?;
    line("last access", &format!("{}, {} times", node.last_access.at, node.access_count))?;
    line("strength", &float_text(&node.strength))?;
    line("activation", &float_text(&node.activation))?;
    line("confidence", &float_text(&node.confidence))?;
    line("decay rate", &float_text(&node.decay_rate))?;
    if let Some(episode) = &node.episode {
        if let Some(place) = &episode.where_location {
            line("where", place)?;
        }
        if let Some(who) = &episode.who {
            line("who", &who.join(", "))?;
        }
        for (key, value) in &episode.metadata {
            line("metadata", &format!("{key} = {value}"))?;
        }
    }
    if let Some(provenance) = &node.provenance {
        line("model", &format!("{} {}", provenance.model_name, provenance.model_version))?;
    }
    line("embedding", &format!("{} values, crc32c {}", node.embedding.values, node.embedding.crc32c))?;
    let source = &node.source;
    line("record", &format!("{} at {}, sequence {}", source.file, source.offset, source.sequence))
}

/// The value, or the bits of one that is no number.
fn float_text(float: &FloatDocument) -> String {
    if float.value.is_null() { format!("bits {}", float.bits) } else { float.value.to_string() }
}
