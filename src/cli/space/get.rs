//! `haul space get`: one node, from whichever format is live.
//!
//! The JSON document is a [`NodeDocument`]. A node that is not there is an error with exit code 1.

use std::sync::Arc;

use anyhow::bail;
use clap::Args;

use super::arguments::{NamedSpaceArgs, PolicyArgs, ReaderArgs};
use crate::cli::arguments::OutputArgs;
use crate::cli::command::Answer;
use crate::cli::table::Table;
use crate::durable::RealDisk;
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
            bail!("no live node \"{}\" in {}", self.id, paths.root().display());
        };
        Answer::new(&node).print(self.output, |table| render(table, &node))
    }
}

fn render(table: &mut Table, node: &NodeDocument) {
    let mut row = |name: &str, value: &str| table.row(name, value);
    row("node", &node.id.to_string());
    row("stored as", &node.episode_id);
    row("read from", &node.format);
    row("type", node.node_type);
    row("content", node.content.as_deref().unwrap_or("none"));
    row("created", &node.created_at.at);
    row("last access", &format!("{}, {} times", node.last_access.at, node.access_count));
    row("strength", &float_text(&node.strength));
    row("activation", &float_text(&node.activation));
    row("confidence", &float_text(&node.confidence));
    row("decay rate", &float_text(&node.decay_rate));
    if let Some(episode) = &node.episode {
        if let Some(place) = &episode.where_location {
            row("where", place);
        }
        if let Some(who) = &episode.who {
            row("who", &who.join(", "));
        }
        for (key, value) in &episode.metadata {
            row("metadata", &format!("{key} = {value}"));
        }
    }
    if let Some(provenance) = &node.provenance {
        row("model", &format!("{} {}", provenance.model_name, provenance.model_version));
    }
    row("embedding", &format!("{} values, crc32c {}", node.embedding.values, node.embedding.crc32c));
    let source = &node.source;
    row("record", &format!("{} at {}, sequence {}", source.file, source.offset, source.sequence));
}

/// Returns the value, or the bits of one that is not a number.
fn float_text(float: &FloatDocument) -> String {
    if float.value.is_null() { format!("bits {}", float.bits) } else { float.value.to_string() }
}
