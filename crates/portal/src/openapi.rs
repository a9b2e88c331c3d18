//! `portal openapi`: the document of the whole gateway.

use chassis::Surroundings;
use utoipa::openapi::OpenApi;

use crate::config::{self, Flags};
use crate::{gateway, run};

/// The document. It follows from the code alone: the services are built on stores in a folder that is gone afterwards, and no
/// configuration is read.
///
/// # Errors
/// Where the folder can't be made or written.
pub async fn document() -> anyhow::Result<OpenApi> {
    let folder = tempfile::tempdir()?;
    let flags = Flags { data_dir: Some(folder.path().to_owned()), ..Flags::default() };
    let config = config::of_the_code(&flags)?.service;
    let services = Box::pin(run::build(config, &Surroundings::one_process())).await?;
    let document = gateway::document(&services);
    for closer in services.into_iter().flat_map(|service| service.closers) {
        closer.await;
    }
    Ok(document)
}
