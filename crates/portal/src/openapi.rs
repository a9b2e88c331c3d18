//! `portal openapi`: the OpenAPI document of the gateway.

use chassis::Surroundings;
use utoipa::openapi::OpenApi;

use crate::config::{self, Flags};
use crate::{gateway, run};

/// Returns the document. It depends on the code alone: the services are built on stores in a temporary
/// folder, and no configuration is read.
///
/// # Errors
/// Fails if the temporary folder can't be created or written.
pub async fn document() -> anyhow::Result<OpenApi> {
    let folder = tempfile::tempdir()?;
    let flags = Flags { data_dir: Some(folder.path().to_owned()), ..Flags::default() };
    let config = config::load_without_environment(&flags)?.service;
    let services = Box::pin(run::build(config, &Surroundings::one_process())).await?;
    let document = gateway::document(&services);
    for closer in services.into_iter().flat_map(|service| service.closers) {
        closer.await;
    }
    Ok(document)
}
