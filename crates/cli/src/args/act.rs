//! What the acting verbs take.

use std::time::Duration;

use clap::{Args, Subcommand};
use jiff::Timestamp;
use leadsman_core::spec::Command;

use super::duration;
use crate::target::Target;

/// What is done about the operator's answer.
#[derive(Clone, Debug, Default, Args)]
pub struct Answer {
    /// Do not wait for the operator's answer
    #[arg(long, conflicts_with = "wait")]
    pub no_wait: bool,
    /// Go on waiting until the release ends, as status does
    #[arg(long)]
    pub wait: bool,
    /// With --wait: how long
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "30m")]
    pub timeout: Duration,
    /// Why, for the report: up to 256 characters
    #[arg(long, value_name = "TEXT", value_parser = reason)]
    pub reason: Option<String>,
    /// Do not ask
    #[arg(short, long)]
    pub yes: bool,
}

/// A verb that takes a name and nothing else.
#[derive(Clone, Debug, Args)]
pub struct Act {
    /// Rollout, as cart, rollout/cart or shop/cart
    #[arg(value_name = "NAME")]
    pub name: Target,
    /// What is done about the answer.
    #[command(flatten)]
    pub answer: Answer,
}

/// `promote`.
#[derive(Clone, Debug, Args)]
pub struct Promote {
    /// Rollout, as cart, rollout/cart or shop/cart
    #[arg(value_name = "NAME")]
    pub name: Target,
    /// All pauses and all analysis that remain
    #[arg(long)]
    pub full: bool,
    /// What is done about the answer.
    #[command(flatten)]
    pub answer: Answer,
}

/// `rollback`.
#[derive(Clone, Debug, Args)]
pub struct Rollback {
    /// Rollout, as cart, rollout/cart or shop/cart
    #[arg(value_name = "NAME")]
    pub name: Target,
    /// The revision that was stable before, by its number: a safeguard, since no other can be had
    #[arg(long, value_name = "REVISION")]
    pub to: Option<i64>,
    /// What is done about the answer.
    #[command(flatten)]
    pub answer: Answer,
}

/// `restart`.
#[derive(Clone, Debug, Args)]
pub struct Restart {
    /// Rollout, as cart, rollout/cart or shop/cart
    #[arg(value_name = "NAME")]
    pub name: Target,
    /// Pods that are older than this instant, instead of now
    #[arg(long, value_name = "INSTANT")]
    pub at: Option<Timestamp>,
}

/// `set`.
#[derive(Clone, Debug, Args)]
pub struct SetImage {
    /// What is set.
    #[command(subcommand)]
    pub what: SetWhat,
}

/// What can be set.
#[derive(Clone, Debug, Subcommand)]
pub enum SetWhat {
    /// The image of containers: a new revision, and so a release
    Image(Image),
}

/// `set image`.
#[derive(Clone, Debug, Args)]
pub struct Image {
    /// Rollout, as cart, rollout/cart or shop/cart
    #[arg(value_name = "NAME")]
    pub name: Target,
    /// Images as CONTAINER=IMAGE
    #[arg(value_name = "CONTAINER=IMAGE", required = true, value_parser = container_and_image)]
    pub images: Vec<(String, String)>,
    /// Also where Git declares it and will undo it
    #[arg(long)]
    pub anyway: bool,
    /// Do not ask
    #[arg(short, long)]
    pub yes: bool,
}

fn reason(text: &str) -> Result<String, String> {
    match text.trim().chars().count() {
        0 => Err("it says nothing".to_owned()),
        length if length > Command::LONGEST_REASON => {
            Err(format!("it has {length} characters; {} are kept", Command::LONGEST_REASON))
        }
        _ => Ok(text.trim().to_owned()),
    }
}

fn container_and_image(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((container, image)) if !container.is_empty() && !image.is_empty() => {
            Ok((container.to_owned(), image.to_owned()))
        }
        _ => Err("write it as CONTAINER=IMAGE".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_that_would_be_cut_or_says_nothing_is_refused() {
        assert_eq!(reason(" calls about 5/7 "), Ok("calls about 5/7".to_owned()));
        assert!(reason(&"x".repeat(257)).unwrap_err().contains("256 are kept"));
        assert!(reason(" ").is_err());
    }
}
