//! `portal replay`: builds what readers see anew from the events.

use anyhow::Context;
use chassis::{Surroundings, say};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use kernel::Section;

use crate::{config, offline};

/// What is replayed, and where.
#[derive(Debug, Args)]
#[group(id = "replay")]
pub struct Flags {
    /// The section; every section where none is named.
    #[arg(long, value_name = "SECTION")]
    section: Option<Section>,
    #[command(flatten)]
    config: config::Flags,
}

/// Replays one section or all of them, while no portal runs on the data folder.
///
/// # Errors
/// Where there are no events, a portal runs on the folder, a store can't be opened or an event can't be read; the view stays as it was.
pub async fn replay(flags: &Flags) -> anyhow::Result<()> {
    let config = config::load(&flags.config)?.service;
    let sections = offline::sections(flags.section);
    let _held = offline::hold(&config, &sections)?;
    let surroundings = Surroundings::one_process();
    for section in sections {
        // A view that was lost is what this command is for.
        let view = offline::of(&config, section).view.of(section.service());
        chassis::sqlite::forget_if_missing(view.expose())?;
        let opened = news::open(section, offline::of(&config, section), &surroundings).await;
        let (app, _) = opened.context(section.service())?;
        let style = ProgressStyle::with_template("{prefix:14} {human_pos} articles  {elapsed}")?;
        let progress = ProgressBar::new_spinner().with_style(style).with_prefix(section.service());
        let outcome = app.replay(|done| progress.set_position(done)).await;
        app.close().await;
        let done = outcome.with_context(|| format!("{} keeps the view that it had", section.service()))?;
        progress.finish_and_clear();
        say(format_args!("{}: the view was built anew, {} articles", section.service(), done.articles));
    }
    Ok(())
}
