//! `portal verify-history`: proves that every version that is there is what was written, and that none is missing between two. What was cut off at
//! the end of an article, or taken away with all of its versions, leaves no trace in a chain.

use anyhow::{Context, bail};
use chassis::{Surroundings, say};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use kernel::Section;
use news::app::Audited;

use crate::config::{self, Config};
use crate::offline;

/// What is verified, and where.
#[derive(Debug, Args)]
#[group(id = "verify")]
pub struct Flags {
    /// The section; every section where none is named.
    #[arg(long, value_name = "SECTION")]
    section: Option<Section>,
    #[command(flatten)]
    config: config::Flags,
}

/// Follows the hash chains of one section or of all of them, on whichever stores the configuration names. Files are verified while
/// no portal runs on them; a server's database at any time.
///
/// Every article is looked at, also after one that is broken was found.
///
/// # Errors
/// Where a history is not the one that was written; each such article is named with its first version that does not fit. And where
/// there are no events, a portal runs on their files, or a store can't be opened or read.
pub async fn verify(flags: &Flags) -> anyhow::Result<()> {
    let config = config::load(&flags.config)?.service;
    let sections = offline::sections(flags.section);
    let _held = offline::hold(&config, &sections)?;
    let mut broken = 0;
    for section in sections {
        let audited = one(&config, section).await.context(section.service())?;
        let Audited { articles, versions, broken: found } = audited;
        for (article, why) in &found {
            say(format_args!("{}: article {article}: {why}", section.service()));
        }
        let whole = articles - found.len() as u64;
        match found.len() {
            0 if articles == 0 => say(format_args!("{}: no articles, nothing to verify", section.service())),
            0 => say(format_args!(
                "{}: {articles} articles, {versions} versions: all are as they were written",
                section.service()
            )),
            some => say(format_args!(
                "{}: {some} of {articles} articles are not as they were written, {whole} are",
                section.service()
            )),
        }
        broken += found.len();
    }
    if broken > 0 {
        bail!("the history was changed: {broken} articles are not as they were written");
    }
    Ok(())
}

async fn one(config: &Config, section: Section) -> anyhow::Result<Audited> {
    let (app, _) = news::open(section, offline::of(config, section), &Surroundings::one_process()).await?;
    let style = ProgressStyle::with_template("{prefix:14} {human_pos} articles  {elapsed}")?;
    let progress = ProgressBar::new_spinner().with_style(style).with_prefix(section.service());
    let outcome = app.verify_all(|done| progress.set_position(done)).await;
    app.close().await;
    progress.finish_and_clear();
    Ok(outcome?)
}
