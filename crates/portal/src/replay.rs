//! `portal replay`: rebuilds the articles that readers see from the events.

use anyhow::Context;
use chassis::{Surroundings, say};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use kernel::Section;

use crate::{config, offline};

/// The sections to replay.
#[derive(Debug, Args)]
#[group(id = "replay")]
pub struct Flags {
    /// The section; all sections by default.
    #[arg(long, value_name = "SECTION")]
    section: Option<Section>,
    #[command(flatten)]
    config: config::Flags,
}

/// Replays one section or all of them, while no portal runs on the data folder.
///
/// # Errors
/// Fails if there are no events, a portal runs on the folder, a store can't be opened, or an event can't be
/// read. The view is unchanged then.
pub async fn replay(flags: &Flags) -> anyhow::Result<()> {
    let config = config::load(&flags.config)?.service;
    let sections = offline::sections(flags.section);
    let _held = offline::hold(&config, &sections)?;
    let surroundings = Surroundings::one_process();
    for section in sections {
        // This command also restores a view whose file is lost.
        let view = offline::config_of(&config, section).view.of(section.service());
        chassis::sqlite::forget_if_missing(view.expose())?;
        let opened = news::open(section, offline::config_of(&config, section), &surroundings).await;
        let opened = opened.context(section.service())?;
        let style = ProgressStyle::with_template("{prefix:14} {human_pos} articles  {elapsed}")?;
        let progress = ProgressBar::new_spinner().with_style(style).with_prefix(section.service());
        let outcome = opened.app.replay(|done| progress.set_position(done)).await;
        opened.close().await;
        let done = outcome.with_context(|| format!("the view of {} is unchanged", section.service()))?;
        progress.finish_and_clear();
        say(format_args!("{}: the view was rebuilt, {} articles", section.service(), done.articles));
    }
    Ok(())
}
