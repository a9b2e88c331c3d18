use std::sync::Arc;

use async_trait::async_trait;
use bus::{Bus, Envelope};
use prost::Message;
use proto::events::v1::ArticleRead;

use crate::NAME;
use crate::domain::Reading;
use crate::ports::{ReadingSink, SinkError};

/// The sink that publishes readings on the bus, as `portal.events.v1.ArticleRead` under
/// `reading.<section>.read`.
pub struct BusReadings {
    bus: Arc<dyn Bus>,
}

impl BusReadings {
    /// Creates a sink on this bus.
    pub fn new(bus: Arc<dyn Bus>) -> Self {
        Self { bus }
    }
}

#[async_trait]
impl ReadingSink for BusReadings {
    async fn publish(&self, readings: &[Reading]) -> Result<(), SinkError> {
        let messages = readings.iter().map(envelope).collect();
        self.bus.publish(messages).await.map_err(|error| SinkError::Bus(Box::new(error)))
    }
}

fn envelope(reading: &Reading) -> Envelope {
    let body = ArticleRead {
        reader_id: reading.reader.to_string(),
        article_id: reading.article.to_string(),
        section: reading.section.as_str().to_owned(),
        article_version: reading.version.number(),
        labels: reading.labels.clone(),
        at_ms: reading.at.millis(),
    };
    Envelope {
        id: reading.id,
        kind: "portal.events.v1.ArticleRead".to_owned(),
        key: format!("reading.{}.read", reading.section),
        source: NAME.to_owned(),
        subject: reading.article.to_string(),
        version: reading.version.number(),
        time: reading.at,
        trace: reading.trace,
        body: body.encode_to_vec().into(),
    }
}
