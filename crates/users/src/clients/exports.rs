use std::sync::Arc;

use async_trait::async_trait;
use bus::{Bus, Call};
use kernel::{Kind, Refusal};
use prost::Message;
use proto::exports::v1 as messages;
use serde::de::IgnoredAny;

use crate::domain::{PartPage, PartSource};
use crate::ports::ExportSources;

/// The services that have parts of an export, over the bus: a call for each page.
pub struct BusExportSources(pub Arc<dyn Bus>);

#[async_trait]
impl ExportSources for BusExportSources {
    async fn page(&self, source: PartSource, after: &str, token: &str) -> Result<PartPage, Refusal> {
        let call = Call {
            method: "Export".to_owned(),
            body: encode_request(source, after).into(),
            token: Some(token.to_owned()),
            idempotency_key: None,
        };
        let reply = self.0.call(&source.address(), call).await?;
        decode_reply(&reply).ok_or_else(|| {
            let detail = format!("The reply of {} can't be read.", source.service());
            Refusal::new(Kind::Internal, "unreadable_reply", detail)
        })
    }
}

fn encode_request(source: PartSource, after: &str) -> Vec<u8> {
    messages::ExportRequest { part: source.part().to_owned(), after: after.to_owned() }.encode_to_vec()
}

/// Decodes a page. The items become a part of the document as they are, so each must be a JSON value.
fn decode_reply(reply: &[u8]) -> Option<PartPage> {
    let messages::ExportReply { items, next, cut } = messages::ExportReply::decode(reply).ok()?;
    let are_json = items.iter().all(|item| serde_json::from_str::<IgnoredAny>(item).is_ok());
    are_json.then_some(PartPage { items, next, is_cut: cut })
}

#[cfg(test)]
mod tests {
    use kernel::Section;

    use super::*;

    /// Reads a golden file: bytes in hexadecimal, with a comment in the first line.
    fn golden(text: &str) -> Vec<u8> {
        let (_comment, digits) = text.split_once('\n').expect("a comment");
        hex::decode(digits.split_whitespace().collect::<String>()).expect("digits")
    }

    #[test]
    fn the_request_is_written_as_its_golden_file_says() {
        let position = "1763712000123:0199e5b0-0000-7000-8000-000000000001";
        assert_eq!(
            encode_request(PartSource::Articles(Section::Sports), position),
            golden(include_str!("../../tests/golden/export_request.v1.hex"))
        );
    }

    #[test]
    fn the_reply_of_the_golden_file_is_read() {
        let reply = golden(include_str!("../../tests/golden/export_reply.v1.hex"));
        let page = PartPage {
            items: vec!["{\"id\":1}".to_owned(), "{}".to_owned()],
            next: Some("7:8".to_owned()),
            is_cut: true,
        };
        assert_eq!(decode_reply(&reply), Some(page));
    }

    #[test]
    fn a_reply_with_an_item_that_is_not_json_is_refused() {
        for item in ["", "{", "{}}", "{},{}", "nothing"] {
            let reply = messages::ExportReply { items: vec![item.to_owned()], next: None, cut: false };
            assert_eq!(decode_reply(&reply.encode_to_vec()), None, "{item:?}");
        }
        assert_eq!(decode_reply(b"?"), None);
    }
}
