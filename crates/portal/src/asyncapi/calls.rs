//! Calls: requests over the bus, and their replies.

use bus::Declarations;
use kernel::Section;
use serde_json::{Map, Value, json};

use super::proto_messages::ProtoMessage;
use super::{CALLS, message_reference};

/// The request of a call.
pub struct CallMessage<'a> {
    pub message: &'a ProtoMessage,
    /// The name of its method, such as `GetArticle`.
    pub method: &'a str,
    /// The name of its reply, such as `ArticleReply`.
    pub reply: String,
}

impl<'a> CallMessage<'a> {
    /// Returns the call of a message whose comment begins with the method and names the reply. The comments
    /// of messages of gRPC do not.
    pub fn parse(message: &'a ProtoMessage) -> Option<Self> {
        let method = message.name.strip_suffix("Request")?;
        let comment = message.comment.strip_prefix(&format!("{method}: "))?;
        let (_, reply) = comment.split_once("Answered by ")?;
        let reply = reply.split([' ', '.']).next()?.to_owned();
        Some(Self { message, method, reply })
    }

    pub fn to_operation(&self) -> Value {
        let to = |channel: &str, name: &str| json!({"$ref": format!("#/channels/{channel}/messages/{name}")});
        json!({
            "action": "send",
            "channel": {"$ref": "#/channels/news.calls"},
            "messages": [to("news.calls", &self.message.name)],
            "summary": self.message.comment,
            "reply": {
                "address": {"location": "$message.header#/replyTo", "description": "The queue of the calling process."},
                "channel": {"$ref": "#/channels/news.replies"},
                "messages": [to("news.replies", &self.reply)],
            },
            "x-services": ["orchestrator"],
        })
    }
}

/// Returns the channel of all calls, with the service that serves each section.
pub fn call_channel(calls: &[CallMessage<'_>], declarations: &Declarations) -> Value {
    let messages: Map<String, Value> =
        calls.iter().map(|it| (it.message.name.clone(), message_reference(&it.message.name))).collect();
    let served: Map<String, Value> =
        declarations.served.iter().map(|(service, address)| (address.clone(), (*service).into())).collect();
    json!({
        "address": "news.{section}.calls",
        "description": "Calls to a section. Its replicas share them. A call whose deadline has passed is dropped.",
        "parameters": {"section": {"enum": Section::ALL.map(Section::as_str), "description": "The section that is called."}},
        "messages": messages,
        "bindings": {"amqp": {
            "is": "routingKey",
            "exchange": {"name": CALLS, "type": "topic", "durable": true, "autoDelete": false, "vhost": "portal"},
            "bindingVersion": "0.3.0",
        }},
        "x-served-by": served,
    })
}

/// Returns the channel of all replies.
pub fn reply_channel(calls: &[CallMessage<'_>]) -> Value {
    let messages: Map<String, Value> =
        calls.iter().map(|call| (call.reply.clone(), message_reference(&call.reply))).collect();
    json!({
        "address": null,
        "description": "The replies to one calling process.",
        "messages": messages,
        "bindings": {"amqp": {
            "is": "queue",
            "queue": {"durable": false, "exclusive": true, "autoDelete": true, "vhost": "portal"},
            "bindingVersion": "0.3.0",
        }},
    })
}

/// Returns the headers of a call.
pub fn call_trait() -> Value {
    json!({"headers": {
        "type": "object",
        "description": "The method is the name of the message without `Request`. The headers carry the caller's access token, an \
            idempotency key, the trace and the time that is left. Only the token identifies the caller.",
    }})
}

/// Returns the headers of a reply.
pub fn reply_trait() -> Value {
    json!({"headers": {
        "type": "object",
        "description": "The answer to the call with its correlation id: the reply, or a refusal with its kind, code and fields.",
    }})
}
