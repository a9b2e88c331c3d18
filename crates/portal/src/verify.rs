//! `portal verify-history`: proves that every stored version is unchanged and that none is missing between
//! two others.
//!
//! A chain does not show if its last versions were cut off, or if an article was removed with all of its
//! versions.

use anyhow::{Context, bail};
use chassis::{Surroundings, say};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use kernel::Section;
use news::AuditReport;

use crate::config::{self, Config};
use crate::offline;

/// The sections to verify.
#[derive(Debug, Args)]
#[group(id = "verify")]
pub struct Flags {
    /// The section; all sections by default.
    #[arg(long, value_name = "SECTION")]
    section: Option<Section>,
    #[command(flatten)]
    config: config::Flags,
}

/// Verifies the hash chains of one section or of all of them, on the stores of the configuration. Files are
/// verified while no portal runs on them; a database server can be verified at any time. All articles are
/// verified, even after a broken one.
///
/// # Errors
/// Fails if a history was changed; each such article is printed with its first version that does not fit.
/// Also fails if there are no events, a portal runs on their files, or a store can't be opened or read.
pub async fn verify(flags: &Flags) -> anyhow::Result<()> {
    let config = config::load(&flags.config)?.service;
    let sections = offline::sections(flags.section);
    let _held = offline::hold(&config, &sections)?;
    let mut broken = 0;
    for section in sections {
        let audited = verify_section(&config, section).await.context(section.service())?;
        let AuditReport { articles, versions, broken: found } = audited;
        for (article, why) in &found {
            say(format_args!("{}: article {article}: {why}", section.service()));
        }
        let whole = articles - found.len() as u64;
        match found.len() {
            0 if articles == 0 => say(format_args!("{}: no articles, nothing to verify", section.service())),
            0 => say(format_args!(
                "{}: {articles} articles, {versions} versions: all unchanged",
                section.service()
            )),
            some => say(format_args!(
                "{}: {some} of {articles} articles were changed, {whole} are unchanged",
                section.service()
            )),
        }
        broken += found.len();
    }
    if broken > 0 {
        bail!("the history was changed: {broken} articles differ from what was written");
    }
    Ok(())
}

async fn verify_section(config: &Config, section: Section) -> anyhow::Result<AuditReport> {
    let opened =
        news::open(section, offline::config_of(config, section), &Surroundings::one_process()).await?;
    let style = ProgressStyle::with_template("{prefix:14} {human_pos} articles  {elapsed}")?;
    let progress = ProgressBar::new_spinner().with_style(style).with_prefix(section.service());
    let outcome = opened.app.verify_all(|done| progress.set_position(done)).await;
    opened.close().await;
    progress.finish_and_clear();
    Ok(outcome?)
}
