//! The question about the work of a section, and its answer.

use bus::Call;
use bytes::Bytes;
use prost::Message;
use proto::news::v1 as messages;

use super::{Calls, Failure, decoded};
use crate::app::Desk;
use crate::codec::encode;
use crate::domain::State;
use crate::ports::Listing;

impl Calls {
    pub(super) async fn desk(&self, call: &Call) -> Result<Bytes, Failure> {
        let messages::GetDeskRequest {} = decoded(call)?;
        let caller = self.caller(call).await?;
        let Desk { counts, to_review, returned, scheduled } = self.app.desk(caller.as_ref()).await?;
        let reply = messages::GetDeskReply {
            counts: counts.into_iter().map(count).collect(),
            to_review: Some(group(&to_review)),
            returned: Some(group(&returned)),
            scheduled: Some(group(&scheduled)),
        };
        Ok(reply.encode_to_vec().into())
    }
}

fn count((state, articles): (State, u64)) -> messages::StateCount {
    messages::StateCount { state: state.to_string(), articles }
}

fn group(listing: &Listing) -> messages::DeskGroup {
    let articles = listing.articles.iter().map(|article| encode(article, false)).collect();
    messages::DeskGroup { articles, total: listing.total }
}
